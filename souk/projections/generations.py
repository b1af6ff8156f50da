"""The generations of a projection whose items are rows of the service's own database.

Each row has the generation that it belongs to. Readers take the rows of the live one; writers write one row for each
generation that is kept. So while a rebuild fills the next generation, every change is in both, and the switch changes
one record:

    SELECT ... FROM orders WHERE id = $1 AND generation = {generations.live}
    INSERT INTO orders (id, generation, version, body)
    SELECT $1, generation, $2, $3 FROM souk_generation WHERE projection = 'read-model'
    ON CONFLICT (id, generation) DO UPDATE SET ... WHERE orders.version < excluded.version

The condition on the version makes the order of a change and of the rebuild's copy of the same item meaningless.
"""

from souk.projections.projection import RebuildRun
from souk.store.database import Database, Transaction


class Generations:
    """The generations of the projection of that name. A migration has inserted the first one, 1, as live."""

    def __init__(self, projection: str) -> None:
        if not projection.replace("-", "").isalnum():
            raise ValueError(f"{projection!r} must be letters, digits and hyphens: it stands in SQL")
        self._projection = projection
        self.kept = f"souk_generation WHERE projection = '{projection}'"
        """What follows FROM in a statement that writes an item into every generation that is kept."""
        self.live = f"(SELECT generation FROM {self.kept} AND is_live)"
        """The SQL expression of the generation that is read."""

    async def open(self, database: Database, run: RebuildRun) -> None:
        """Adds the generation of a rebuild, and drops that of an earlier rebuild that was given up.

        When it returns, every transaction that has not seen the new generation has ended.
        """

        async def work(tx: Transaction) -> None:
            await run.hold(tx)
            sql = f"DELETE FROM {self.kept} AND NOT is_live AND generation <> $1"
            await tx.execute(sql, run.generation)
            await tx.execute(
                "INSERT INTO souk_generation (projection, generation, is_live) VALUES ($1, $2, FALSE)"
                " ON CONFLICT (projection, generation) DO NOTHING",
                *(self._projection, run.generation),
            )

        await database.run(work)
        await database.outlast_open(run.still_held)

    async def switch(self, database: Database, run: RebuildRun) -> None:
        """Makes the generation of a rebuild the live one, and the only one that is written."""

        async def work(tx: Transaction) -> None:
            await run.hold(tx)
            await tx.execute(f"DELETE FROM {self.kept} AND generation <> $1", run.generation)
            await tx.execute(
                "UPDATE souk_generation SET is_live = TRUE WHERE projection = $1 AND generation = $2",
                *(self._projection, run.generation),
            )

        await database.run(work)
        await database.outlast_open(run.still_held)
