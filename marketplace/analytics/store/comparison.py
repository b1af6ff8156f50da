"""Compares what was counted with what should have been, in SQL."""

from collections.abc import Sequence

from marketplace.analytics.domain.facts import Fact, FactKey, amount_of, key_of
from marketplace.analytics.store.figures import LIVE
from souk.sdk import Transaction

_OF_KINDS = (
    # measure, the kind of facts that it counts, and whether counts and amounts must be the same
    ("sales", "confirmed", True, True),
    ("refunds", "refunded", True, True),
    ("products", "confirmed", False, True),
    ("confirmed", "confirmed", True, False),
    ("rejected", "rejected", True, False),
    ("cancelled", "cancelled", True, False),
)


async def wrong_facts(tx: Transaction, after: str, last: str, facts: Sequence[Fact]) -> list[str]:
    """Returns a line for each fact of the orders behind `after` up to `last` that is missing, wrong or too much."""
    rows = await tx.fetch(
        f"SELECT order_id, kind, number, amount FROM facts WHERE {LIVE} AND order_id > $1 AND order_id <= $2",
        *(after, last),
    )
    counted = {FactKey(row["order_id"], row["kind"], row["number"]): row["amount"] for row in rows}
    expected = {key_of(fact): amount_of(fact) for fact in facts}
    return [
        *(f"{_named(key)} is not counted, or still being delivered" for key in expected.keys() - counted.keys()),
        *(f"{_named(key)} is counted, and did not happen" for key in counted.keys() - expected.keys()),
        *(
            f"{_named(key)} is counted as {counted[key]}, and was {expected[key]}"
            for key in expected.keys() & counted.keys()
            if expected[key] != counted[key]
        ),
    ]


async def wrong_sums(tx: Transaction) -> list[str]:
    """Returns a line for each measure whose figures are not the sum of the facts."""
    sums = "CAST(COUNT(*) AS BIGINT) AS count, CAST(COALESCE(SUM(amount), 0) AS BIGINT) AS amount"
    rows = await tx.fetch(f"SELECT kind, {sums} FROM facts WHERE {LIVE} GROUP BY kind")
    facts = {row["kind"]: (row["count"], row["amount"]) for row in rows}
    sums = sums.replace("COUNT(*)", "SUM(count)")
    rows = await tx.fetch(f"SELECT measure, {sums} FROM figures WHERE {LIVE} GROUP BY measure")
    figures = {row["measure"]: (row["count"], row["amount"]) for row in rows}
    found = []
    for measure, kind, *same in _OF_KINDS:
        have, want = figures.get(measure, (0, 0)), facts.get(kind, (0, 0))
        if any(is_same and one != other for is_same, one, other in zip(same, have, want, strict=True)):
            found.append(f"the {measure} are {have} (count, amount), and the facts add up to {want}")
    return found


def _named(key: FactKey) -> str:
    return f"{key.order_id}: {key.kind}{f' {key.number}' if key.number else ''}"
