"""In which states circuit breakers were, and when: from the figures of the processes, which say it at each reading."""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import NamedTuple

from souk.kernel.clock import MICROSECONDS

STATES = "souk_breaker_state"
"""The metric that is 1 for the state of a breaker, by caller, callee and state."""
MOST_CHANGES = 20_000
"""Changes that are read: the newest."""
ALIVE = 20 * MICROSECONDS
"""Microseconds after its last reading for which a process is taken to be as it was."""


class BreakerKey(NamedTuple):
    """A breaker: of which process, between whom. `method` is empty for one that watches all methods."""

    process: str
    caller: str
    callee: str
    method: str


@dataclass(frozen=True, slots=True)
class BreakerSpell:
    """A time in which a breaker was in one state, in microseconds since 1970."""

    state: str
    since: int
    until: int

    @property
    def document(self) -> dict[str, object]:
        """The same, as JSON has it."""
        return {"state": self.state, "since": self.since, "until": self.until}


class _Change(NamedTuple):
    at: int
    state: str
    process: int
    last: int


_CHANGES = """
SELECT p.process, s.labels, points.at, p.id, p.seen
FROM series AS s JOIN processes AS p ON p.id = s.process JOIN points ON points.series = s.id
WHERE s.metric = ? AND points.value = 1 AND p.seen >= ? AND points.at <= ?
ORDER BY points.at DESC LIMIT ?
"""


def read_breaker_history(
    connection: sqlite3.Connection, since: int, until: int
) -> Mapping[BreakerKey, Sequence[BreakerSpell]]:
    """Returns the states of every breaker between two moments, the earliest first.

    Processes are read every few seconds, so a state that was shorter may be missing. While a process was away nothing
    is known of its breakers, and there is a gap.
    """
    changes = defaultdict[BreakerKey, list[_Change]](list)
    for process, labels, at, id_, last in connection.execute(_CHANGES, (STATES, since, until, MOST_CHANGES)):
        found = json.loads(labels)
        callee, _, method = found.get("callee", "").partition("/")
        state = found.get("state", "").replace("_", " ")
        key = BreakerKey(process, found.get("caller", ""), callee, method)
        changes[key].append(_Change(at, state, id_, last if until - last > ALIVE else until))
    spells = {key: _spells(list(reversed(found)), since, until) for key, found in sorted(changes.items())}
    return {key: found for key, found in spells.items() if found}


def _spells(changes: Sequence[_Change], since: int, until: int) -> list[BreakerSpell]:
    found: list[BreakerSpell] = []
    for one, later in zip_longest(changes, changes[1:]):
        start, end = max(one.at, since), min(one.last, until)
        if later is not None:
            end = later.at if later.process == one.process else min(end, later.at)
        if end <= start:
            continue
        if found and (found[-1].state, found[-1].until) == (one.state, start):
            start = found.pop().since
        found.append(BreakerSpell(one.state, start, end))
    return found
