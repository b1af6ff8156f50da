"""A process that writes pairs of rows into a SQLite file until something ends it.

    python -m souk.testing.store.victim <file> <fault point or -> <times it is passed> <bytes a row>

Each transaction writes two rows; eight run at once. The process prints the name of each pair that was committed,
so that the test that started it knows which pairs must have survived.
"""

import asyncio
import itertools
import os
import sys

from souk.faults import Faults
from souk.store.database import Transaction
from souk.store.sqlite.database import SqliteDatabase

TABLE = "CREATE TABLE IF NOT EXISTS pair (name TEXT PRIMARY KEY, data BYTEA NOT NULL)"


async def _write(database: SqliteDatabase, numbers: "itertools.count[int]", size: int) -> None:
    while True:
        name = f"{next(numbers):06}"

        async def work(tx: Transaction, name: str = name) -> None:
            for half in ("a", "b"):
                await tx.execute("INSERT INTO pair (name, data) VALUES ($1, $2)", f"{name}-{half}", os.urandom(size))

        await database.run(work)
        os.write(1, f"{name}\n".encode("ascii"))


async def _main(file: str, point: str, times: str, size: str) -> None:
    preparing = await SqliteDatabase.open(file)
    await preparing.run(lambda tx: tx.execute(TABLE))
    await preparing.close()
    faults = Faults({} if point == "-" else {point: int(times)})
    database = await SqliteDatabase.open(file, faults=faults)
    numbers = itertools.count()
    await asyncio.gather(*(_write(database, numbers, int(size)) for _ in range(8)))


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
