"""Facts, and the figures that they add up to, in SQL.

A generation is a whole set of facts and figures. One is live: it is read. Others are being built beside it, and count
every new fact too.
"""

from collections.abc import Sequence

from marketplace.analytics.domain.facts import Fact, Figure, Measure, Tally, amount_of, key_of, slot_of, tallies
from marketplace.analytics.domain.reports import Counted, Days, Ranking, SoldProduct
from souk.sdk import Transaction, Value

_LIVE = "generation = (SELECT generation FROM generations WHERE is_live)"
_ADD_FACT = """
    INSERT INTO facts (generation, order_id, kind, number, time, amount) VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT (generation, order_id, kind, number) DO NOTHING
"""
_ADD_TALLY = """
    INSERT INTO figures (generation, measure, day, currency, subject, slot, count, amount)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
    ON CONFLICT (generation, measure, day, currency, subject, slot)
    DO UPDATE SET count = figures.count + excluded.count, amount = figures.amount + excluded.amount
"""
_COUNT, _AMOUNT = "CAST(SUM(count) AS BIGINT)", "CAST(SUM(amount) AS BIGINT)"
_RANKINGS = {Ranking.REVENUE: "revenue", Ranking.UNITS: "units"}


class FigureStore:
    """Stores facts and figures, in the caller's transaction."""

    async def add(self, tx: Transaction, fact: Fact) -> bool:
        """Counts a fact in every generation that does not know it; returns whether it was new to one.

        Transactions that count facts of one slot take turns, so that none finds its rows changed meanwhile.
        """
        await tx.lock(f"figures:{slot_of(fact.order_id)}")
        is_new = False
        for row in await tx.fetch("SELECT generation FROM generations ORDER BY generation"):
            is_new |= await self._add_to(tx, row["generation"], fact)
        return is_new

    async def _add_to(self, tx: Transaction, generation: int, fact: Fact) -> bool:
        key, slot = key_of(fact), slot_of(fact.order_id)
        values = (generation, key.order_id, key.kind, key.number, fact.time, amount_of(fact))
        if not await tx.execute(_ADD_FACT, *values, expect_rows=1):
            return False
        rows = [
            (generation, of.measure.value, of.day, of.currency, of.subject, slot, tally.count, tally.amount)
            for of, tally in sorted(tallies(fact).items())
        ]
        await tx.execute_many(_ADD_TALLY, rows)
        return True

    async def newest(self, tx: Transaction) -> int | None:
        """Returns when the newest counted event happened, in microseconds since 1970; None when none is counted."""
        row = await tx.fetch_one(f"SELECT MAX(time) AS time FROM facts WHERE {_LIVE}")
        return None if row is None else row["time"]

    async def by_day(
        self, tx: Transaction, measures: Sequence[Measure], days: Days, currency: str | None = None
    ) -> list[Counted]:
        """Returns the figures of these measures in a range, ordered by day; of one currency, or of all."""
        condition, values = _range(measures, days, currency)
        rows = await tx.fetch(
            f"SELECT measure, day, currency, subject, {_COUNT} AS count, {_AMOUNT} AS amount FROM figures"
            f" WHERE {condition} GROUP BY measure, day, currency, subject ORDER BY day, currency, subject",
            *values,
        )
        return [
            Counted(
                Figure(Measure(row["measure"]), row["day"], row["currency"], row["subject"]),
                Tally(row["count"], row["amount"]),
            )
            for row in rows
        ]

    async def top_products(
        self, tx: Transaction, days: Days, currency: str | None, ranking: Ranking, limit: int
    ) -> list[SoldProduct]:
        """Returns the first `limit` products of each currency, ordered by currency, then by the ranking."""
        condition, values = _range([Measure.PRODUCTS], days, currency)
        rows = await tx.fetch(
            "SELECT * FROM (SELECT currency, subject, units, revenue,"
            f" ROW_NUMBER() OVER (PARTITION BY currency ORDER BY {_RANKINGS[ranking]} DESC, subject) AS rank"
            f" FROM (SELECT currency, subject, {_COUNT} AS units, {_AMOUNT} AS revenue FROM figures"
            f" WHERE {condition} GROUP BY currency, subject) AS sums) AS ranked"
            f" WHERE rank <= ${len(values) + 1} ORDER BY currency, rank",
            *values,
            limit,
        )
        return [SoldProduct(row["subject"], row["currency"], row["units"], row["revenue"]) for row in rows]


def _range(measures: Sequence[Measure], days: Days, currency: str | None) -> tuple[str, list[Value]]:
    values: list[Value] = [days.first.isoformat(), days.last.isoformat()]
    names = ", ".join(f"'{measure.value}'" for measure in measures)
    condition = f"{_LIVE} AND measure IN ({names}) AND day BETWEEN $1 AND $2"
    if currency is None:
        return condition, values
    return f"{condition} AND currency = $3", [*values, currency]
