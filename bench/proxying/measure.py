"""Measures plain proxying, and what it adds to a request's time; and what 10,000 open connections cost."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path

from bench.figures import Figure, Section, at_least, below, median, progress
from bench.gateway import Contender, Round, round_of
from bench.load import load
from bench.proxying.contenders import (
    CADDY,
    DIRECT,
    EMPTY,
    ENVOY,
    EXPRESS,
    FASTIFY,
    HOP,
    NGINX,
    OURS,
    TRAEFIK,
    contenders,
)

_WARMING = 2.0
_OPEN = 10_000
_MEBIBYTE = 1024 * 1024
_HALF_LOAD_CLIENTS = 32


def measure(folder: Path, *, seconds: float, rounds: int) -> Section:
    """Measures all in turns."""
    section = Section("proxying")
    with contenders(folder, seconds) as field:
        section.notes += field.missing
        for one in field.found:
            progress(f"proxying: warming up {one.name}")
            load(replace(one.load, seconds=_WARMING))
        measured = {one.name: list[Round]() for one in field.found}
        for number in range(rounds):
            progress(f"proxying: round {number + 1} of {rounds}")
            for one in field.found:
                measured[one.name].append(round_of(one))
        _report(section, measured)
        named = {one.name: one for one in field.found}
        beside = [named[name] for name in (OURS, EXPRESS, HOP, DIRECT) if name in named]
        _half_load(section, beside, median(one.rate for one in measured[OURS]) / 2, rounds + 2)
        _connections(section, named[OURS])
    section.details = {name: [asdict(one) for one in found] for name, found in measured.items()}
    return section


def _report(section: Section, rounds: dict[str, list[Round]]) -> None:
    ours = rounds[OURS]
    section.add(_rate(OURS, ours))
    beside = (
        (EXPRESS, 1.5),
        (FASTIFY, 1.0),
        *((name, None) for name in (CADDY, TRAEFIK, ENVOY, NGINX, EMPTY, HOP, DIRECT)),
    )
    for name, aim in beside:
        if name in rounds:
            section.add(*_beside(name, aim, ours, rounds[name]))
    section.add(Figure("  CPU of the gateway", median(one.cpu for one in ours), "us a request"))


def _beside(name: str, aim: float | None, ours: list[Round], theirs: list[Round]) -> Iterator[Figure]:
    """Compares by each turn's ratio, because other programs use the machine unevenly."""
    ratio = median(one.rate / other.rate for one, other in zip(ours, theirs, strict=True))
    cpu = median(one.cpu / other.cpu for one, other in zip(ours, theirs, strict=True))
    reached = at_least(aim, ratio, f"{aim} of it") if aim is not None else {}
    yield replace(_rate(f"  {name}", theirs), against="the gateway's rate by this one", ratio=ratio, **reached)
    used = median(one.cpu for one in theirs)
    yield Figure("    CPU of it", used, "us a request", "the gateway's CPU by this one", cpu)


def _rate(name: str, rounds: list[Round]) -> Figure:
    return Figure(name, median(one.rate for one in rounds), "requests/s")


def _half_load(section: Section, beside: list[Contender], rate: float, rounds: int) -> None:
    """At half of its rate, a client must wait little longer than without the gateway.

    All are measured in turns, each at the same rate. Express is as busy at it as the gateway, and so meets a slow
    machine as it does; a bare hop is hardly busy.
    """
    progress("proxying: half load")
    p99: dict[str, list[float]] = {one.name: [] for one in beside}
    slow: list[float] = []
    for _ in range(rounds):
        for one in beside:
            with _watched(one, slow):
                p99[one.name].append(load(replace(one.load, rate=rate, clients=_HALF_LOAD_CLIENTS)).p99)
    direct = p99[DIRECT]
    added = {name: [mine - bare for mine, bare in zip(found, direct, strict=True)] for name, found in p99.items()}
    ours = median(added[OURS])
    section.add(
        Figure("  p99 that the gateway adds at half load", ours, "ms", **below(3.0, ours, "3 ms")),
        Figure("    in its best round", min(added[OURS]), "ms"),
        *(Figure(f"    that {one.name} adds", median(added[one.name]), "ms") for one in beside[1:-1]),
        Figure("  p99 without it", median(direct), "ms"),
        Figure("  of the time, the machine was slow by itself", median(slow), "%"),
    )


@contextmanager
def _watched(one: Contender, slow: list[float]) -> Iterator[None]:
    """Measures the machine beside a load, on its core."""
    command = (sys.executable, "-m", "bench.proxying.machine", str(one.load.seconds))
    pinned = ("taskset", "-c", str(one.load.core), *command)
    with subprocess.Popen(pinned, stdout=subprocess.PIPE, text=True) as watching:
        yield
        slow.append(float(watching.communicate()[0]))


def _connections(section: Section, ours: Contender) -> None:
    progress("proxying: open connections")
    before = ours.process.memory_info().rss / _MEBIBYTE
    opened, rss = asyncio.run(_held(ours, ours.load.port))
    whole = below(300.0, rss, "300 MiB") if opened == _OPEN else {}
    section.add(
        Figure(f"  memory of the gateway with {opened:,} open connections", rss, "MiB", **whole),
        Figure("  memory before", before, "MiB"),
    )
    if opened < _OPEN:
        section.notes.append(f"only {opened:,} connections: the system lets a process open no more files for clients")


async def _held(ours: Contender, port: int) -> tuple[int, float]:
    """Opens connections, each with one request answered, and keeps them; gives how many, and the gateway's memory."""
    writers: list[asyncio.StreamWriter] = []
    request = f"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n\r\n".encode()
    try:
        with suppress(OSError, asyncio.IncompleteReadError):
            while len(writers) < _OPEN:
                # From several addresses, as none may have all connections.
                here = (f"127.0.0.{2 + len(writers) % 8}", 0)
                reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=here)
                writers.append(writer)
                writer.write(request)
                if b" 200 " not in await reader.readuntil(b"\r\n\r\n"):
                    writers.pop().transport.abort()
                    break
        return len(writers), ours.process.memory_info().rss / _MEBIBYTE
    finally:
        for writer in writers:
            writer.transport.abort()
