"""When a process that does not answer is given up."""

import asyncio
import tempfile
from pathlib import Path

from souk.runtime.process.liveness import LONGEST, SILENT, Silence, answers_at


def test_a_process_that_stands_still_is_given_up() -> None:
    silence = Silence(100.0)
    assert not silence.given_up(101.0, 5.0)
    assert not silence.given_up(100.0 + SILENT, 5.0)
    assert "hung" in silence.given_up(101.0 + SILENT, 5.0)


def test_one_that_works_gets_longer_but_not_for_ever() -> None:
    silence = Silence(100.0)
    working = [silence.given_up(100.0 + second, float(second)) for second in range(int(LONGEST) + 1)]
    assert not any(working)
    assert "hung" in silence.given_up(101.0 + LONGEST, 200.0)


def test_an_answer_begins_it_anew() -> None:
    silence = Silence(100.0)
    silence.given_up(109.0, 5.0)
    silence.answered(110.0)
    assert not silence.given_up(110.0 + SILENT, 5.0)
    assert silence.given_up(111.0 + SILENT, 5.0)


async def test_any_answer_over_http_is_a_sign_of_life() -> None:
    with tempfile.TemporaryDirectory() as made:
        path = Path(made) / "admin.sock"
        alive = answers_at(path)
        assert not await alive()

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 503 Service Unavailable\r\n\r\n")
            writer.close()

        async with await asyncio.start_unix_server(answer, path):
            assert await alive()
