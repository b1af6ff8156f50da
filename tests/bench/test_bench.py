"""The bench runs, and its parts say what they measured."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bench.figures import Figure, Section, at_least, table
from bench.fleet_recorded import Call, Recorded, Statement, hops
from bench.fleet_replay import Played, Player
from bench.fleet_replay import transactions as fleet_transactions
from bench.load import KEY, Load, load
from bench.recorder import Recorded as RecordedFile
from bench.replay import transactions

ROOT = Path(__file__).parents[2]


def test_a_part_is_measured_and_written_down(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    command = (sys.executable, "-m", "bench", "--quick", "--only", "breaker", "--json", str(file))
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "pybreaker" in done.stdout
    assert "around an async no-op, less the await" in done.stdout
    assert "opossum" in done.stdout, "measured, or a note says why not"
    (section,) = json.loads(file.read_text())["sections"]
    assert section["name"] == "breaker"
    assert all(figure["value"] > 0 for figure in section["figures"])


def test_a_figure_says_whether_its_aim_is_reached() -> None:
    section = Section("x", [Figure("orders", 900.0, "orders/s", **at_least(1000, 900, "1,000"))])
    assert "| at least 1,000 | short |" in table([section])


async def test_each_request_of_a_load_has_its_own_key() -> None:
    seen: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                seen.append(await reader.readexactly(len(KEY)))
                writer.write(b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok")
        except asyncio.IncompleteReadError:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    what = Load(server.sockets[0].getsockname()[1], "POST", "/", (KEY,), clients=4, requests=40, expect=201)
    async with server:
        sent = await asyncio.to_thread(load, what)
    assert (sent.answers, len(seen), len(set(seen))) == (40, 40, 40)


def test_members_of_one_commit_are_played_as_transactions_of_their_own() -> None:
    writer = ("BEGIN IMMEDIATE", "SAVEPOINT member", "a", "b", "SAVEPOINT member", "c", "ROLLBACK TO member")
    statements = (*writer, "SAVEPOINT member", "d", "COMMIT", "BEGIN", "e", "ROLLBACK")
    recorded = RecordedFile("x.db", [(float(time), sql, []) for time, sql in enumerate(statements)])
    found = [(one.writes, [sql for _, sql, _ in one.statements]) for one in transactions([recorded])]
    assert found == [(True, ["a", "b"]), (True, ["d"]), (False, ["e"])]


def test_what_a_fleet_asked_is_played_as_it_was_committed() -> None:
    begun = ("BEGIN ISOLATION LEVEL REPEATABLE READ, READ WRITE", "a", "COMMIT")
    undone = ("BEGIN ISOLATION LEVEL SERIALIZABLE, READ WRITE", "b", "ROLLBACK")
    read = ("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY", "c", "ROLLBACK")
    every = [*begun, *undone, *read, "d", "LISTEN souk"]
    statements = [Statement(n, n + 0.5, 1, "db", "execute", sql, ()) for n, sql in enumerate(every)]
    found = [[one.sql for one in played.statements] for played in fleet_transactions(statements)]
    assert found == [list(begun), list(read), ["d"]]


async def test_a_transaction_is_played_after_all_that_was_done_before_it() -> None:
    order: list[str] = []

    class Pool:
        @asynccontextmanager
        async def acquire(self) -> AsyncIterator["Pool"]:
            yield self

        async def execute(self, sql: str) -> None:
            for _ in range(5 if sql == "slow" else 1):
                await asyncio.sleep(0)
            order.append(sql)

    times = {"slow": (0.0, 1.0), "beside it": (0.5, 3.0), "after it": (2.0, 4.0)}
    played = [Played(*when, (Statement(*when, 1, "db", "execute", sql, ()),)) for sql, when in times.items()]
    await Player(Pool()).play(played)
    assert order == ["beside it", "slow", "after it"]


def test_an_orders_hops_are_as_many_and_as_long_as_recorded() -> None:
    calls = [Call(1.0, "order", "/a", 10, 100), Call(2.0, "order", "/a", 20, 300), Call(9.0, "order", "/b", 1, 1)]
    assert hops([Recorded("order", [], calls)], 0.0, 5.0, 1) == [(15, 200), (15, 200)]


async def test_other_answers_are_counted_where_they_are_expected() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                status = b"404 X" if b" /missing " in head else b"200 OK"
                writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n")
        except asyncio.IncompleteReadError:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    paths = ("/there", "/missing")
    what = Load(server.sockets[0].getsockname()[1], "GET", "", paths=paths, clients=2, requests=10, others=True)
    async with server:
        sent = await asyncio.to_thread(load, what)
    assert (sent.answers, sent.other) == (10, 5)
