"""The bench runs, and its parts say what they measured."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

from bench.figures import Figure, Section, at_least, table
from bench.load import KEY, Load, load
from bench.recorder import Recorded
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
    recorded = Recorded("x.db", [(float(time), sql, []) for time, sql in enumerate(statements)])
    found = [(one.writes, [sql for _, sql, _ in one.statements]) for one in transactions([recorded])]
    assert found == [(True, ["a", "b"]), (True, ["d"]), (False, ["e"])]
