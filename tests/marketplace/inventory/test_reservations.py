import asyncio

import pytest
from shop.inventory.v1 import inventory_pb2 as pb

from marketplace.inventory.domain import TABLE, Action, Move, Refused, State
from marketplace.inventory.service import deps_of
from marketplace.inventory.use_cases.expire_reservations import expire_reservations
from souk.kernel.errors import DomainError, InvalidArgument

RESERVED, RELEASED = pb.RESERVATION_STATE_RESERVED, pb.RESERVATION_STATE_RELEASED
COMMITTED, RETURNED = pb.RESERVATION_STATE_COMMITTED, pb.RESERVATION_STATE_RETURNED


def test_the_table_answers_every_question_and_only_ever_moves_what_is_there() -> None:
    held = {None: None, State.RESERVED: "reserved", State.COMMITTED: "sold"}
    assert set(TABLE) == {(state, action) for state in (None, *State) for action in Action}
    for (state, _), decision in TABLE.items():
        if isinstance(decision, Refused):
            continue
        place = held.get(state) or "available"
        for move in decision.moves:
            source, target = move.value.split(" → ")
            assert source == place
            place = target
        assert place == (held.get(decision.state) or "available") or decision.state is State.RELEASED
        assert not decision.moves or Move.HOLD not in decision.moves[1:]


async def test_a_reservation_is_sold_and_taken_back(shop) -> None:
    await shop.adjust("P-1", 10, "a")
    assert await shop.reserve("k", {"P-1": 3}) == RESERVED
    assert await shop.row("P-1") == (10, 7, 3, 0)
    assert await shop.commit("k") == COMMITTED
    assert await shop.commit("k") == COMMITTED
    assert await shop.row("P-1") == (10, 7, 0, 3)
    assert await shop.take_back("k") == RETURNED
    assert await shop.take_back("k") == RETURNED
    assert await shop.row("P-1") == (10, 10, 0, 0)


async def test_a_short_reserve_takes_nothing_and_names_every_short_product(shop) -> None:
    for product, pieces in {"P-1": 5, "P-2": 1, "P-3": 5}.items():
        await shop.adjust(product, pieces, product)
    with pytest.raises(DomainError) as refused:
        await shop.reserve("k", {"P-3": 2, "P-2": 2, "P-1": 2, "P-9": 1})
    assert refused.value.reason == "OUT_OF_STOCK"
    (shortage,) = refused.value.details
    assert {item.product_id: item.available for item in shortage.items} == {"P-2": 1, "P-9": 0}
    assert await shop.row("P-1") == (5, 5, 0, 0)
    assert await shop.reserve("k", {"P-1": 1}) == RESERVED, "a refused key is still free"


async def test_the_same_key_is_the_same_reservation_for_ever(shop) -> None:
    await shop.adjust("P-1", 10, "a")
    await shop.adjust("P-2", 10, "b")
    await asyncio.gather(*(shop.reserve("k", {"P-1": 3, "P-2": 1}) for _ in range(5)))
    await shop.reserve("k", {"P-2": 1, "P-1": 3}, ttl=900)
    assert await shop.row("P-1") == (10, 7, 3, 0)
    for order, items in (("ORD-1", {"P-1": 3}), ("ORD-2", {"P-1": 3, "P-2": 1})):
        with pytest.raises(DomainError, match="IDEMPOTENCY_KEY_REUSED"):
            await shop.reserve("k", items, order=order)


async def test_a_release_of_what_never_was_blocks_a_late_reserve(shop) -> None:
    await shop.adjust("P-1", 10, "a")
    assert await shop.release("k") == RELEASED
    assert await shop.release("k") == RELEASED
    with pytest.raises(DomainError, match="RESERVATION_RELEASED"):
        await shop.reserve("k", {"P-1": 1})
    assert await shop.available("P-1") == 10


async def test_a_released_reservation_stays_released(shop) -> None:
    await shop.adjust("P-1", 10, "a")
    await shop.reserve("k", {"P-1": 4})
    assert await shop.release("k") == RELEASED
    assert await shop.release("k") == RELEASED
    assert await shop.row("P-1") == (10, 10, 0, 0)
    for call in (shop.commit("k"), shop.reserve("k", {"P-1": 4})):
        with pytest.raises(DomainError, match="RESERVATION_RELEASED"):
            await call


async def test_what_was_sold_is_not_released(shop) -> None:
    await shop.adjust("P-1", 10, "a")
    await shop.reserve("k", {"P-1": 4})
    await shop.commit("k")
    with pytest.raises(DomainError, match="RESERVATION_COMMITTED"):
        await shop.release("k")


@pytest.mark.parametrize("verb", ["commit", "take_back"])
async def test_nothing_is_sold_or_taken_back_under_an_unknown_key(shop, verb) -> None:
    with pytest.raises(DomainError, match="RESERVATION_NOT_FOUND"):
        await getattr(shop, verb)("k")


async def test_what_was_never_sold_is_not_taken_back(shop) -> None:
    await shop.adjust("P-1", 10, "a")
    await shop.reserve("k", {"P-1": 4})
    with pytest.raises(DomainError, match="RESERVATION_NOT_FOUND"):
        await shop.take_back("k")


async def test_a_forgotten_reservation_lapses(shop) -> None:
    await shop.adjust("P-1", 10, "a")
    await shop.reserve("k", {"P-1": 4}, ttl=60)
    await shop.reserve("later", {"P-1": 1}, ttl=600)
    shop.clock.advance(61)
    assert await expire_reservations(deps_of(shop.host)) == 1
    assert await expire_reservations(deps_of(shop.host)) == 0
    assert await shop.row("P-1") == (10, 9, 1, 0)


async def _lapsed(shop) -> None:
    await shop.adjust("P-1", 10, "a")
    await shop.reserve("k", {"P-1": 6}, ttl=60)
    shop.clock.advance(61)
    await expire_reservations(deps_of(shop.host))


async def test_a_lapsed_reservation_is_reserved_again_to_be_sold(shop) -> None:
    await _lapsed(shop)
    assert await shop.commit("k") == COMMITTED
    assert await shop.row("P-1") == (10, 4, 0, 6)


async def test_a_lapsed_reservation_cannot_be_sold_when_the_stock_is_gone(shop) -> None:
    await _lapsed(shop)
    await shop.reserve("other", {"P-1": 5})
    with pytest.raises(DomainError, match="OUT_OF_STOCK"):
        await shop.commit("k")
    await shop.release("other")
    assert await shop.commit("k") == COMMITTED


async def test_a_lapsed_reservation_is_reserved_again_for_longer(shop) -> None:
    await _lapsed(shop)
    assert await shop.reserve("k", {"P-1": 6}, ttl=60) == RESERVED
    assert await expire_reservations(deps_of(shop.host)) == 0
    assert await shop.row("P-1") == (10, 4, 6, 0)


async def test_a_lapsed_reservation_is_released_without_putting_it_back_twice(shop) -> None:
    await _lapsed(shop)
    assert await shop.release("k") == RELEASED
    assert await shop.row("P-1") == (10, 10, 0, 0)


async def test_the_last_fifty_go_to_exactly_fifty_of_two_hundred(shop) -> None:
    await shop.adjust("P-1", 50, "a")
    tries = [shop.reserve(f"k{buyer}", {"P-1": 1}, order=f"ORD-{buyer}") for buyer in range(200)]
    answers = await asyncio.gather(*tries, return_exceptions=True)
    assert answers.count(RESERVED) == 50
    refusals = [answer for answer in answers if isinstance(answer, Exception)]
    assert len(refusals) == 150
    assert all(isinstance(refusal, DomainError) and refusal.reason == "OUT_OF_STOCK" for refusal in refusals)
    assert await shop.row("P-1") == (50, 0, 50, 0)


@pytest.mark.parametrize(
    ("key", "items", "fields"),
    [
        ("", {"P-1": 1}, ["key"]),
        ("k" * 256, {"P-1": 1}, ["key"]),
        ("k\n", {"P-1": 1}, ["key"]),
        ("k", {}, ["items"]),
        ("k", {"P-1": 0, "P-2": 1001, "": 1}, ["items[0].quantity", "items[1].quantity", "items[2].product_id"]),
        ("k", {f"P-{number}": 1 for number in range(101)}, ["items"]),
    ],
)
async def test_a_wrong_reserve_is_refused_field_by_field(shop, key, items, fields) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await shop.reserve(key, items)
    assert [violation.field for violation in refused.value.violations] == fields


async def test_a_product_is_reserved_at_most_once_a_reservation(shop) -> None:
    request = pb.ReserveRequest(key="k", order_id="ORD-1", items=[pb.StockItem(product_id="P-1", quantity=1)] * 2)
    with pytest.raises(InvalidArgument) as refused:
        await shop.servicer.Reserve(request, None)
    assert {violation.field for violation in refused.value.violations} == {"items[1].product_id", "expires_at"}
