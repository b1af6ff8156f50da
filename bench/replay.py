"""Replays recorded transactions: the same SQL, values and commits, and nothing else.

    python -m bench.replay FILE FROM TO BEGAN ENDED GROUP [threads]

replays the statements that FILE recorded of the databases in the directory FROM on those in TO, which is a copy of
FROM from before the record. Those from before BEGAN are replayed first, without being timed. GROUP transactions of
a file share a commit. With `threads`, each file has a thread of its own.
"""

import sqlite3
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from heapq import merge
from pathlib import Path

from bench.recorder import Recorded, Statement, read

_ENDS = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT ")
_WITHIN = ("SAVEPOINT ", "ROLLBACK TO ")
_OUTSIDE = ("PRAGMA ", "SELECT count(*) FROM sqlite_master")


@dataclass(frozen=True, slots=True)
class Transaction:
    """One transaction of the connection with this number; a transaction that only reads has no commit."""

    connection: int
    writes: bool
    statements: tuple[Statement, ...]

    @property
    def time(self) -> float:
        """The time when it began, in seconds, monotonic."""
        return self.statements[0][0]


def transactions(recorded: Sequence[Recorded]) -> list[Transaction]:
    """Gives every transaction, in the order in which they began; each member of a shared commit is one of its own."""
    return list(merge(*(_of(number, one) for number, one in enumerate(recorded)), key=lambda one: one.time))


def _of(number: int, one: Recorded) -> Iterator[Transaction]:
    writes, statements = False, list[Statement]()
    for statement in one.statements:
        sql = statement[1]
        if sql.startswith(_ENDS):
            if statements and not sql.startswith("ROLLBACK TO "):
                yield Transaction(number, writes, tuple(statements))
            statements = []
            writes = sql == "BEGIN IMMEDIATE" or (writes and sql.startswith(_WITHIN))
        elif not sql.startswith(_OUTSIDE):
            statements.append(statement)


class Player:
    """Replays transactions on the files below `to`, with a connection for each recorded connection."""

    def __init__(self, recorded: Sequence[Recorded], origin: Path, to: Path) -> None:
        self._recorded, self._origin, self._to = recorded, origin, to
        self._epoch = time.time() - time.monotonic()
        self._at = 0.0
        self._connections: dict[int, sqlite3.Connection] = {}
        self._members: dict[int, int] = {}

    def play(self, every: Iterable[Transaction], group: int) -> None:
        """Replays transactions in order, with a commit after each `group` transactions of a connection."""
        for one in every:
            self._at = one.time
            connection = self._connections.get(one.connection) or self._open(one.connection)
            if one.writes:
                self._write(connection, one, group)
            else:
                connection.execute("BEGIN")
                _execute(connection, one)
                connection.execute("ROLLBACK")
        for number in [number for number, members in self._members.items() if members]:
            self._commit(number)

    def _open(self, number: int) -> sqlite3.Connection:
        recorded = self._recorded[number]
        path = self._to / Path(recorded.path).relative_to(self._origin)
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=512)
        # The databases get the recorded time, or every lease would have expired.
        connection.create_function("souk_now", 0, lambda: int((self._epoch + self._at) * 1_000_000))
        for _, sql, _ in recorded.statements:
            if sql.startswith("PRAGMA "):
                connection.execute(sql).fetchall()
        self._connections[number] = connection
        return connection

    def _write(self, connection: sqlite3.Connection, one: Transaction, group: int) -> None:
        members = self._members.get(one.connection, 0)
        if not members:
            connection.execute("BEGIN IMMEDIATE")
        _execute(connection, one)
        self._members[one.connection] = members + 1
        if members + 1 >= group:
            self._commit(one.connection)

    def _commit(self, number: int) -> None:
        self._connections[number].execute("COMMIT")
        self._members[number] = 0


def _execute(connection: sqlite3.Connection, one: Transaction) -> None:
    for _, sql, values in one.statements:
        if isinstance(values, list):
            connection.executemany(sql, values)
        else:
            connection.execute(sql, values).fetchall()


def _by_file(recorded: Sequence[Recorded], timed: Iterable[Transaction]) -> list[list[Transaction]]:
    found: dict[str, list[Transaction]] = {}
    for one in timed:
        found.setdefault(recorded[one.connection].path, []).append(one)
    return list(found.values())


def main() -> None:
    """Replays, and prints the seconds that it took."""
    file, origin, to, began, ended, group, *threads = sys.argv[1:]
    recorded = read(Path(file))
    every = transactions(recorded)
    where = (recorded, Path(origin), Path(to))
    Player(*where).play((one for one in every if one.time < float(began)), 1)
    timed = [one for one in every if float(began) <= one.time <= float(ended)]
    parts = _by_file(recorded, timed) if threads else [timed]
    with ThreadPoolExecutor(len(parts)) as pool:
        start = time.perf_counter()
        for played in [pool.submit(Player(*where).play, part, int(group)) for part in parts]:
            played.result()
        print(time.perf_counter() - start)


if __name__ == "__main__":
    main()
