"""Measures reads that the gateway answers from its cache beside reads that it asks the service for, in turns.

One system of one process, with the cache on, and one page of products. `Cache-Control: no-cache` makes a read a miss:
it is asked for and stored anew, as the first read after an answer has become too old. In one process a miss costs no
hop; in a fleet it costs one more, which is not measured here.
"""

from dataclasses import asdict, replace
from pathlib import Path

from bench.buying import CLIENTS
from bench.figures import Figure, Section, median, progress
from bench.gateway import Contender, Round, cores, round_of
from bench.load import Load, load
from bench.system import SOUK, System, running

_WARMING = 1.0
_HIT, _MISS = "a read from the gateway's cache", "the same read, asked for and stored"
_SECONDS = "3600"
_SETTINGS = {"SOUK_READ_CACHE": _SECONDS, "SOUK_LIMITS": "off"}
_PATH = "/api/v1/products?pageSize=20"


def measure(folder: Path, *, seconds: float, rounds: int) -> Section:
    """Measures both in turns, on one core; the load has the other one."""
    section = Section("cached reads")
    pinned = ("taskset", "-c", str(cores()[0]), *SOUK)
    with running(folder / "cached", pinned, environment=_SETTINGS) as system:
        hit, miss = _contender(system, _HIT, seconds), _contender(system, _MISS, seconds)
        miss = replace(miss, load=replace(miss.load, headers={"cache-control": "no-cache"}))
        for one in (miss, hit):
            load(replace(one.load, seconds=_WARMING))
        measured = {_HIT: list[Round](), _MISS: list[Round]()}
        for number in range(rounds):
            progress(f"cached reads: round {number + 1} of {rounds}")
            for one in (miss, hit):
                measured[one.name].append(round_of(one))
    section.details = {name: [asdict(one) for one in found] for name, found in measured.items()}
    _report(section, measured[_HIT], measured[_MISS])
    return section


def _contender(system: System, name: str, seconds: float) -> Contender:
    sent = Load(port=system.port, method="GET", path=_PATH, clients=CLIENTS, seconds=seconds, core=cores()[1])
    return Contender(name, system.process, sent)


def _report(section: Section, hits: list[Round], misses: list[Round]) -> None:
    def ratio(of: str) -> float:
        return median(getattr(one, of) / getattr(other, of) for one, other in zip(hits, misses, strict=True))

    section.add(
        Figure(_HIT, median(one.rate for one in hits), "requests/s", _MISS, ratio("rate")),
        Figure(f"  {_MISS}", median(one.rate for one in misses), "requests/s"),
        Figure("  CPU of a hit", median(one.cpu for one in hits), "us a request", _MISS, ratio("cpu")),
        Figure("  p99 of a hit", median(one.p99 for one in hits), "ms", _MISS, ratio("p99")),
    )
