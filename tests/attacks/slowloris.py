"""Two thousand slow connections to a running gateway, and good clients beside them.

    .venv/bin/python -m tests.attacks.slowloris --connections 2000 --limit 20

A fifth each says nothing, sends a head an octet at a time, sends a body an octet at a time, does not read its answers,
or speaks HTTP/2 and sends a body an octet at a time. They come from twenty addresses; the good clients from another.
"""

import argparse
import asyncio
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from hpack import Encoder
from hyperframe.frame import DataFrame, HeadersFrame, SettingsFrame

from tests.attacks.conftest import Target, proxying
from tests.attacks.corpus.http2 import PREFACE

MEBIBYTE = 1024 * 1024
GOOD = b"GET /up/good HTTP/1.1\r\nhost: x\r\n\r\n"
_POST = b"POST /up/slow HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n"
_LARGE = b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n" * 20
_PAUSE = 0.5
"""Seconds between two octets of a slow client."""
_GOOD_CLIENTS = 4
_SLOWEST_OPENING = 0.001

Slow = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def _nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def _dribble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, octet: bytes) -> None:
    ended = asyncio.ensure_future(reader.read())
    while not ended.done():
        writer.write(octet)
        await asyncio.wait({ended}, timeout=_PAUSE)
    await ended


async def _head(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"GET /up/slow HTTP/1.1\r\nhost: x\r\na: ")
    await _dribble(reader, writer, b"b")


async def _body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(_POST)
    await _dribble(reader, writer, b"b")


async def _unread(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.pause_reading()  # type: ignore[attr-defined]  # it can read
    writer.write(_LARGE)
    connection: socket.socket = writer.get_extra_info("socket")
    while connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == 1:  # established
        await asyncio.sleep(_PAUSE)


async def _frames(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    fields = [(":method", "POST"), (":path", "/up/slow"), (":scheme", "http"), (":authority", "x")]
    head = HeadersFrame(1, Encoder().encode(fields), flags=("END_HEADERS",))
    writer.write(PREFACE + SettingsFrame(0).serialize() + head.serialize())
    ended = asyncio.ensure_future(reader.read())
    while not ended.done():
        writer.write(DataFrame(1, b"b").serialize())
        await asyncio.wait({ended}, timeout=_PAUSE)
    await ended


KINDS: Mapping[str, Slow] = {
    "say nothing": _nothing,
    "send a head slowly": _head,
    "send a body slowly": _body,
    "do not read": _unread,
    "send a body slowly in HTTP/2": _frames,
}


@dataclass
class Siege:
    """What happened. `ended` are the seconds after which the slow connections were ended, by kind."""

    open: int = 0
    held: int = 0
    ended: dict[str, list[float]] = field(default_factory=dict)
    good: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    before: int = 0
    peak: int = 0
    after: int = 0

    def lines(self) -> list[str]:
        """Says it."""
        good = sorted(self.good)
        return [
            f"slow connections held at once: {self.held:,}",
            *(
                f"those that {kind}: ended after {min(took):.1f} to {max(took):.1f} s"
                for kind, took in self.ended.items()
            ),
            f"good requests meanwhile: {len(good):,}, {dict(self.statuses)}",
            f"half of them within {_ms(good, 0.5)} ms, 99 % within {_ms(good, 0.99)} ms, all in {_ms(good, 1.0)} ms",
            f"memory in use: {_mib(self.before)} MiB before, {_mib(self.peak)} at most, {_mib(self.after)} after",
        ]


def _ms(ordered: list[float], share: float) -> str:
    return f"{ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1e3:.1f}"


def _mib(size: int) -> str:
    return f"{size / MEBIBYTE:.1f}"


async def besiege(target: Target, connections: int, patience: float = 300.0) -> Siege:
    """Attacks once, until every slow connection has ended. Raises TimeoutError when one is left after `patience`."""
    siege = Siege(before=target.port.resident())
    over = asyncio.Event()
    good = [asyncio.create_task(_ask(target, siege, over)) for _ in range(_GOOD_CLIENTS)]
    watching = asyncio.create_task(_watch(target, siege, over))
    async with asyncio.timeout(patience):
        slow = []
        for number in range(connections):
            slow.append(asyncio.create_task(_attack(target, siege, number)))
            await asyncio.sleep(_SLOWEST_OPENING)
        await asyncio.gather(*slow)
    over.set()
    await asyncio.gather(*good, watching)
    siege.after = target.port.resident()
    return siege


async def _attack(target: Target, siege: Siege, number: int) -> None:
    kind = list(KINDS)[number % len(KINDS)]
    source = (f"127.0.1.{1 + number % 20}", 0)
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.setblocking(False)
    connection.bind(source)
    await asyncio.get_running_loop().sock_connect(connection, target.address)
    reader, writer = await asyncio.open_connection(sock=connection)
    began = time.monotonic()
    siege.open += 1
    siege.held = max(siege.held, siege.open)
    with suppress(ConnectionError):
        await KINDS[kind](reader, writer)
    siege.open -= 1
    siege.ended.setdefault(kind, []).append(time.monotonic() - began)
    writer.transport.abort()


async def _ask(target: Target, siege: Siege, over: asyncio.Event) -> None:
    reader, writer = await asyncio.open_connection(*target.address)
    while not over.is_set():
        began = time.monotonic()
        writer.write(GOOD)
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(2)
        siege.good.append(time.monotonic() - began)
        siege.statuses[int(head.split()[1])] += 1
        await asyncio.sleep(0.01)
    writer.close()


async def _watch(target: Target, siege: Siege, over: asyncio.Event) -> None:
    while not over.is_set():
        siege.peak = max(siege.peak, target.port.resident())
        await asyncio.sleep(0.2)


def main() -> int:
    """Attacks several times, so that what an attack leaves behind is seen, and says what happened."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.attacks.slowloris", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--connections", type=int, default=2_000, help="how many are slow (default 2000)")
    parser.add_argument("--waves", type=int, default=3, help="how often they come (default 3)")
    parser.add_argument("--limit", type=float, help="seconds of every time limit of the gateway (default: its own)")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, proxying(Path(folder), impatient(wanted.limit)) as target:
        for _ in range(wanted.waves):
            print("\n".join(asyncio.run(besiege(target, wanted.connections)).lines()), flush=True)
    return 0


def impatient(limit: float | None) -> dict[str, str]:
    """Gives the settings of a gateway whose time limits are all `limit` seconds; with None its own."""
    names = ("FIRST_OCTET", "HEAD", "BODY", "WRITE", "IDLE")
    return {} if limit is None else {f"SOUK_HTTP_{name}_TIMEOUT": str(limit) for name in names}


if __name__ == "__main__":
    sys.exit(main())
