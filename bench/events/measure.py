"""Measures the way of events: each broker's adapter, and the whole way from an outbox, beside the broker's bare client.

Rounds alternate between the bare client and ours, and medians are shown. A source and its sink are processes of their
own. All have the same events, and everything is as durable: confirmed by the broker once it is stored.
"""

import asyncio
from dataclasses import asdict
from pathlib import Path

from bench.events.child import bare
from bench.events.engines import KINDS, BrokerKind, postgres, running
from bench.events.rounds import CONSUMED, LATENCY, PUBLISHED, STEADY, THROUGH, WRITERS, Measured, Rounds, Way
from bench.figures import Figure, Section, at_least, below, progress

AIM_RATE, AIM_LATENCY = 5_000.0, 15.0
_BARE, _ADAPTER, _SQLITE, _POSTGRES = "bare", "adapter", "SQLite", "PostgreSQL"


def measure(folder: Path, *, seconds: float, rounds: int, events: int, only: str = "") -> list[Section]:
    """Measures every broker that is on this machine, and delivery by calls. `events` are published in one round by
    the bare client and by the adapter, and a third of them go through an outbox."""
    kinds = [kind for kind in KINDS if only.lower() in kind.name.lower()]
    names = [f"{end}_{kind.prefix}" for kind in kinds for end in ("outbox", "inbox")]
    below_var = folder / "events"
    below_var.mkdir()
    sections: list[Section] = []
    with postgres(below_var, [*names, "outbox_calls", "inbox_calls"]) as urls:
        if only.lower() in "calls":
            sections.append(_calls(below_var, urls, seconds, rounds, events))
        sections += [_broker(kind, below_var, urls, seconds, rounds, events) for kind in kinds]
    return sections


def _outboxes(kind: str, prefix: str, broker: str, folder: Path, urls: dict[str, str], events: int) -> list[Way]:
    sqlite = {end: str(folder / f"{end}.db") for end in ("outbox", "inbox")}
    own = {end: urls[f"{end}_{prefix}"] for end in ("outbox", "inbox")}
    found = ((_SQLITE, "bench.sqlite", sqlite), (_POSTGRES, "bench.postgres", own))
    return [Way(name, kind, topic, broker, folder, events // 3, **ends) for name, topic, ends in found]


def _calls(above: Path, urls: dict[str, str], seconds: float, rounds: int, events: int) -> Section:
    folder = above / "calls"
    folder.mkdir()
    progress("events: by calls in one process")
    run = Rounds(_outboxes("calls", "calls", "", folder, urls, events), rounds, seconds)
    run.together()
    section = Section("events by calls", details=asdict(run.measured))
    section.add(*(one for name in (_SQLITE, _POSTGRES) for one in _way("events by calls", name, run.measured)))
    return section


def _broker(kind: BrokerKind, above: Path, urls: dict[str, str], seconds: float, rounds: int, events: int) -> Section:
    section = Section(f"events: {kind.name}")
    folder, events = above / kind.prefix, min(events, kind.most)
    folder.mkdir()
    progress(f"events: {kind.name}")
    try:
        with running(kind, folder) as url:
            asyncio.run(bare(url).declare(url))
            ways = [
                Way(_BARE, "bare", "bench.bare", url, folder, events),
                Way(_ADAPTER, "adapter", "bench.adapter", url, folder, events),
                *_outboxes("outbox", kind.prefix, url, folder, urls, events),
            ]
            run = Rounds(ways, rounds, seconds)
            run.apart()
            run.together()
    except LookupError as error:
        section.notes.append(f"events through {kind.name} are not measured: {error}")
        return section
    section.details = asdict(run.measured)
    section.add(*_apart(kind, run.measured), *_together(kind, run.measured))
    return section


def _apart(kind: BrokerKind, found: Measured) -> list[Figure]:
    figures = []
    for what in (PUBLISHED, CONSUMED):
        ratio = found.ratio(what, _ADAPTER, _BARE)
        cpu = f"{what}, CPU"
        figures += [
            Figure(
                f"{kind.name}: {what} through its adapter",
                found.of(what, _ADAPTER),
                "events/s",
                f"{kind.client} alone",
                ratio,
                **at_least(0.5, ratio, "half"),
            ),
            Figure("  CPU of the process", found.of(cpu, _ADAPTER), "us", "", found.ratio(cpu, _ADAPTER, _BARE)),
            Figure(f"  {kind.client} alone", found.of(what, _BARE), "events/s"),
        ]
    for name in (_SQLITE, _POSTGRES):
        aim = at_least(AIM_RATE, found.of(PUBLISHED, name), "5,000") if name == _POSTGRES else {}
        figures.append(Figure(f"  relayed from a full outbox in {name}", found.of(PUBLISHED, name), "events/s", **aim))
    return figures


def _together(kind: BrokerKind, found: Measured) -> list[Figure]:
    title = f"{kind.name}: from outbox to inbox"
    figures = [one for name in (_SQLITE, _POSTGRES) for one in _way(title, name, found, kind.client)]
    return [
        *figures,
        Figure(f"  {kind.client} alone, from process to process", found.of(THROUGH, _BARE), "events/s"),
        Figure("  half of its events at 200/s within", found.within(_BARE, 0.5) * 1e3, "ms"),
        Figure("  99 of 100 within", found.within(_BARE, 0.99) * 1e3, "ms"),
    ]


def _way(title: str, name: str, found: Measured, client: str = "") -> list[Figure]:
    """Gives the figures of one outbox; with the broker's client beside them, if there is one."""
    beside = (f"{client} alone", found.ratio(THROUGH, name, _BARE)) if client else ()
    half = found.within(name, 0.5) * 1e3
    slower = (f"{client} alone", found.ratio(LATENCY, name, _BARE)) if client else ()
    is_postgres = name == _POSTGRES
    return [
        Figure(
            f"{title}, {name}",
            found.of(THROUGH, name),
            "events/s",
            *beside,
            **(at_least(AIM_RATE, found.of(THROUGH, name), "5,000") if is_postgres else {}),
        ),
        Figure(f"  while {WRITERS} write it", found.of(STEADY, name), "events/s"),
        Figure(
            "  half of them at 200/s within",
            half,
            "ms",
            *slower,
            **below(AIM_LATENCY, half, "15") if is_postgres else {},
        ),
        Figure("  99 of 100 within", found.within(name, 0.99) * 1e3, "ms"),
    ]
