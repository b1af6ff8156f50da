"""Reads what `bench/recording/sitecustomize.py` has recorded of the processes of a fleet."""

import pickle
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple


class Statement(NamedTuple):
    """One statement: when it was sent and answered (seconds, monotonic), where, and by which method of the driver."""

    began: float
    ended: float
    connection: int
    database: str
    kind: str
    sql: str
    values: tuple[Any, ...]


class Call(NamedTuple):
    """One call to another service, with the octets of its messages and metadata there (`out`) and back."""

    time: float
    caller: str
    method: str
    out: int
    back: int


class Recorded(NamedTuple):
    """The statements and calls of one process; statements are in the order in which they began."""

    service: str
    statements: list[Statement]
    calls: list[Call]


def read(file: Path) -> Recorded:
    """Reads the record of one process."""
    service, statements, calls = pickle.loads(file.read_bytes())
    ordered = sorted((Statement(*one) for one in statements), key=lambda one: one.began)
    return Recorded(service, ordered, [Call(*one) for one in calls])


def hops(recorded: Iterable[Recorded], began: float, ended: float, orders: int) -> list[tuple[int, int]]:
    """Gives the average octets there and back of each call of an order."""
    by_method: dict[str, list[Call]] = {}
    for process in recorded:
        for call in process.calls:
            if began <= call.time <= ended:
                by_method.setdefault(call.method, []).append(call)
    found: list[tuple[int, int]] = []
    for calls in by_method.values():
        mean = sum(call.out for call in calls) // len(calls), sum(call.back for call in calls) // len(calls)
        found += [mean] * round(len(calls) / orders)
    return found
