"""Facts, and the figures that they add up to, in SQL.

A generation is a whole set of facts and figures. One is live: it is read. While a rebuild makes another, every new fact
is counted in both.
"""

from collections.abc import Iterable, Sequence

from marketplace.analytics.domain.facts import (
    Fact,
    FactKey,
    Figure,
    Measure,
    Tally,
    amount_of,
    key_of,
    slot_of,
    tallies,
)
from marketplace.analytics.domain.reports import Counted, Days, Ranking, SoldProduct
from souk.sdk import Generations, Transaction, Value

GENERATIONS = Generations("figures")
LIVE = f"generation = {GENERATIONS.live}"
_ADD_FACTS = """
    INSERT INTO facts (generation, order_id, kind, number, time, amount) VALUES {rows}
    ON CONFLICT (generation, order_id, kind, number) DO NOTHING RETURNING order_id, kind, number
"""
_COLUMNS = 6
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

    generations = GENERATIONS

    async def add(self, tx: Transaction, fact: Fact) -> bool:
        """Counts a fact in every generation that does not know it; returns whether it was new to one."""
        await self._take_turns(tx, [fact])
        is_new = False
        for row in await tx.fetch(f"SELECT generation FROM {GENERATIONS.kept} ORDER BY generation"):
            is_new |= await self._add_to(tx, row["generation"], [fact])
        return is_new

    async def fill(self, tx: Transaction, generation: int, facts: Sequence[Fact]) -> None:
        """Counts facts in one generation, unless it knows them."""
        await self._take_turns(tx, facts)
        if facts:
            await self._add_to(tx, generation, facts)

    async def delete_old(self, tx: Transaction, limit: int) -> int:
        """Deletes up to `limit` facts and figures of generations before the live one; returns how many."""
        old = f"generation < {GENERATIONS.live} LIMIT $1"
        fact = "generation, order_id, kind, number"
        figure = "generation, measure, day, currency, subject, slot"
        return sum(
            [
                await tx.execute(f"DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM {table} WHERE {old})", limit)
                for table, key in (("facts", fact), ("figures", figure))
            ]
        )

    async def _take_turns(self, tx: Transaction, facts: Iterable[Fact]) -> None:
        """Waits for the others that count facts of the same slots, so that none finds its rows changed meanwhile."""
        for slot in sorted({slot_of(fact.order_id) for fact in facts}):
            await tx.lock(f"figures:{slot}")

    async def _add_to(self, tx: Transaction, generation: int, facts: Sequence[Fact]) -> bool:
        known = {key_of(fact): fact for fact in facts}
        values: list[Value] = []
        for key, fact in known.items():
            values += (generation, key.order_id, key.kind, key.number, fact.time, amount_of(fact))
        found = await tx.fetch(_ADD_FACTS.format(rows=_placeholders(len(known), _COLUMNS)), *values)
        new = [known[FactKey(row["order_id"], row["kind"], row["number"])] for row in found]
        await tx.execute_many(_ADD_TALLY, [(generation, *row) for row in _sums(new)])
        return bool(new)

    async def newest(self, tx: Transaction) -> int | None:
        """Returns when the newest counted event happened, in microseconds since 1970; None when none is counted."""
        row = await tx.fetch_one(f"SELECT MAX(time) AS time FROM facts WHERE {LIVE}")
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
    condition = f"{LIVE} AND measure IN ({names}) AND day BETWEEN $1 AND $2"
    if currency is None:
        return condition, values
    return f"{condition} AND currency = $3", [*values, currency]


def _placeholders(rows: int, columns: int) -> str:
    """Returns the values of a statement that inserts so many rows: ($1, $2), ($3, $4) for two of two columns."""
    numbers = [range(row * columns + 1, row * columns + columns + 1) for row in range(rows)]
    return ", ".join(f"({', '.join(f'${number}' for number in row)})" for row in numbers)


def _sums(facts: Iterable[Fact]) -> list[tuple[Value, ...]]:
    """Returns the rows that facts add to figures, in the order in which every transaction changes them."""
    found: dict[tuple[Figure, int], Tally] = {}
    for fact in facts:
        slot = slot_of(fact.order_id)
        for figure, tally in tallies(fact).items():
            found[figure, slot] = found.get((figure, slot), Tally(0)) + tally
    return [
        (of.measure.value, of.day, of.currency, of.subject, slot, tally.count, tally.amount)
        for (of, slot), tally in sorted(found.items(), key=lambda item: item[0])
    ]
