"""What clients asked for during a run, and every answer, in order."""

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

NOTHING = 0
"""In place of a status: no answer came."""
IMPATIENT = 1.0
"""Seconds; whoever waits longer waits in earnest."""
RETRYABLE = frozenset({202, 429, 503, 504})


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer. `at` is the time of the request by the monotonic clock, `took` how long the answer took, both in
    seconds."""

    at: float
    took: float
    status: int
    code: str
    body: dict[str, Any] = field(compare=False)

    @property
    def definite(self) -> bool:
        """Whether a repeated request would get the same answer."""
        return self.status not in RETRYABLE and self.status != NOTHING and self.code != "REQUEST_IN_PROGRESS"

    @property
    def impatient(self) -> bool:
        """Whether there is no answer because the client gave up on purpose."""
        return self.code == "ReadTimeout" and self.took < IMPATIENT

    @property
    def ended(self) -> float:
        """The time of the answer."""
        return self.at + self.took


@dataclass
class Operation:
    """Something that a client wants done exactly once, and repeats with the same `key` until it is."""

    client: str
    kind: str
    key: str
    path: str
    body: dict[str, Any]
    card: str = ""
    answers: list[Answer] = field(default_factory=list)

    @property
    def ends(self) -> list[Answer]:
        """The definite answers."""
        return [answer for answer in self.answers if answer.definite]

    @property
    def end(self) -> Answer | None:
        """The last definite answer, if there is one."""
        return self.ends[-1] if self.ends else None

    @property
    def succeeded(self) -> bool:
        """Whether the last definite answer is a success."""
        return self.end is not None and self.end.status < 400


@dataclass
class History:
    """All operations of a run, all reads of the catalogue, and the answers that are wrong in themselves."""

    operations: list[Operation] = field(default_factory=list)
    reads: list[Answer] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    def of(self, kind: str) -> list[Operation]:
        """Gives the operations of a kind."""
        return [one for one in self.operations if one.kind == kind]

    def outcomes(self) -> dict[str, int]:
        """Counts the answers by kind of operation, status and code."""
        counts = Counter(
            f"{one.kind} {answer.status} {answer.code}" for one in self.operations for answer in one.answers
        )
        return dict(sorted(counts.items()))

    def confirmed_at(self) -> list[float]:
        """Gives the times at which orders were confirmed."""
        answers = (answer for one in self.of("order") for answer in one.answers)
        return sorted(answer.ended for answer in answers if answer.status == 201)

    def read_at(self) -> list[float]:
        """Gives the times at which the catalogue was read."""
        return sorted(answer.ended for answer in self.reads if answer.status == 200)

    def availability(self) -> dict[str, float]:
        """Gives the share of first tries of orders that got a definite answer or 202, and of reads that were
        answered."""
        asked = [one for one in self.of("order") if one.answers and one.card != "tok_error"]
        first = [one.answers[0] for one in asked if not one.answers[0].impatient]
        return {
            "orders": _share(answer.definite or answer.status == 202 for answer in first),
            "reads": _share(answer.status == 200 for answer in self.reads),
        }


def longest_gap(moments: Sequence[float], began: float, ended: float) -> float:
    """Gives the seconds of the longest gap between two moments, among the gaps that overlap a window."""
    inside = [moment for moment in moments if began <= moment <= ended]
    before = max((moment for moment in moments if moment < began), default=began)
    after = min((moment for moment in moments if moment > ended), default=ended)
    edges = [before, *inside, after]
    return max((later - earlier for earlier, later in pairwise(edges)), default=0.0)


def _share(good: Iterable[bool]) -> float:
    results = list(good)
    return sum(results) / len(results) if results else 1.0
