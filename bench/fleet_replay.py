"""Replays the statements that one service of a fleet sent to PostgreSQL, with the bare driver and nothing else.

    python -m bench.fleet_replay FILE... URL BEGAN ENDED

replays the statements that FILEs recorded, with one pool of connections. Those from before BEGAN are replayed first;
then a line is read, and those until ENDED are replayed and timed. A transaction begins as soon as a connection is
free, but not before all transactions are done that had ended before it began in the record.
"""

import asyncio
import sys
import time
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import uvloop

from bench.fleet_recorded import Statement, read

POOL = 10
_TRIES = 20
_LOCK, _UNLOCK = "pg_advisory_lock(", "pg_advisory_unlock_all"
_AGAIN = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)


@dataclass(frozen=True, slots=True)
class Played:
    """A recorded transaction, or a single statement outside of one."""

    began: float
    ended: float
    statements: tuple[Statement, ...]


def transactions(statements: Sequence[Statement]) -> list[Played]:
    """Gives every transaction that was not rolled back, and every read, in the order in which they began."""
    open_: dict[int, list[Statement]] = {}
    locks: dict[int, list[Statement]] = {}  # by connection: locks for the transaction that follows on it
    found: list[Played] = []
    for one in statements:
        if _UNLOCK in one.sql:
            continue  # `Player` releases the locks that it takes
        if one.connection not in open_ and _LOCK in one.sql:
            locks.setdefault(one.connection, []).append(one)
        elif one.sql.startswith("BEGIN"):
            open_[one.connection] = [*locks.pop(one.connection, ()), one]
        elif one.connection not in open_:
            if not one.sql.startswith(("LISTEN", "UNLISTEN", "ROLLBACK")):
                found.append(Played(one.began, one.ended, (one,)))
        else:
            open_[one.connection].append(one)
            if one.sql.startswith(("COMMIT", "ROLLBACK")):
                whole = open_.pop(one.connection)
                if one.sql.startswith("COMMIT") or any("READ ONLY" in each.sql for each in whole):
                    found.append(Played(whole[0].began, one.ended, tuple(whole)))
    return sorted(found, key=lambda played: played.began)


class Player:
    """Replays transactions on one pool."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    async def play(self, every: Sequence[Played]) -> None:
        """Replays transactions; returns when all are done. Raises an error if more than 1 of 100 failed."""
        ends = sorted(range(len(every)), key=lambda number: every[number].ended)
        times = [every[number].ended for number in ends]
        rank = {number: position for position, number in enumerate(ends)}
        done, first, moved = [False] * len(every), 0, asyncio.Event()
        failed: list[BaseException] = []

        async def one(number: int) -> None:
            nonlocal first
            try:
                await self._run(every[number])
            except Exception as error:
                failed.append(error)
            done[rank[number]] = True
            while first < len(done) and done[first]:
                first += 1
            moved.set()

        async with asyncio.TaskGroup() as tasks:
            for number, played in enumerate(every):
                needed = bisect_left(times, played.began)
                while first < needed:
                    moved.clear()
                    await moved.wait()
                tasks.create_task(one(number))
        if len(failed) > len(every) // 100:
            raise failed[0]

    async def _run(self, played: Played) -> None:
        async with self._pool.acquire() as connection:
            for _ in range(_TRIES):
                try:
                    await _statements(connection, played)
                    if any(_LOCK in one.sql for one in played.statements):
                        await connection.execute(f"SELECT {_UNLOCK}()")
                except _AGAIN:
                    await connection.execute("ROLLBACK")
                except BaseException:
                    await connection.execute("ROLLBACK")
                    raise
                else:
                    return


async def _statements(connection: Any, played: Played) -> None:
    for one in played.statements:
        await getattr(connection, one.kind)(one.sql, *one.values)


async def _keep(connection: Any) -> None:
    """Does nothing when a connection returns to the pool, which would otherwise send it a query."""


async def main() -> None:
    """Replays; prints `ready`, and at the end the seconds that it took and the CPU seconds of this process."""
    *files, url, began, ended = sys.argv[1:]
    every = transactions([one for file in files for one in read(Path(file)).statements])
    async with asyncpg.create_pool(url, min_size=POOL, max_size=POOL, reset=_keep) as pool:
        player = Player(pool)
        await player.play([one for one in every if one.began < float(began)])
        timed = [one for one in every if float(began) <= one.began <= float(ended)]
        print("ready", flush=True)
        sys.stdin.readline()
        start, cpu = time.perf_counter(), time.process_time()
        await player.play(timed)
        print(time.perf_counter() - start, time.process_time() - cpu, flush=True)


if __name__ == "__main__":
    uvloop.run(main())
