"""What Order is told of the charges that stand."""

from typing import Any

from shop.payment.v1 import payment_pb2 as pb

Till = Any


async def standing(desk: Till, after: str = "", size: int = 100, age: int = 0) -> list[str]:
    request = pb.ListOrderChargesRequest(after=after, page_size=size, min_age_seconds=age)
    answer = await desk.call("ListOrderCharges", request, "")
    return [charge.key for charge in answer.charges]


async def test_what_is_captured_and_not_undone_stands(desk: Till) -> None:
    good = await desk.card("tok_visa")
    await desk.top_up("t", 5_000)
    ids = {key: (await desk.charge(key, good)).payment_id for key in ("a", "partly", "all", "undone")}
    await desk.charge("wallet", None)
    await desk.refund(ids["partly"], 300, "r1")
    await desk.refund(ids["all"], 1_000, "r2")
    await desk.cancel("undone")
    await desk.cancel("never")
    # PostgreSQL's clock, which judges their age, is not the test's.
    await desk.deps.run(lambda tx: tx.execute("UPDATE payments SET created_at = 0"))
    assert sorted(await standing(desk)) == ["a", "partly", "wallet"]
    first = (await standing(desk, size=1))[0]
    (row,) = await desk.rows("SELECT id FROM payments WHERE key = $1", first)
    assert sorted([first, *await standing(desk, after=row["id"])]) == ["a", "partly", "wallet"]
    await desk.refund_rest(ids["a"], "cancelled")
    assert sorted(await standing(desk)) == ["partly", "wallet"]
