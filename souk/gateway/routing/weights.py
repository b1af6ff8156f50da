"""Deterministic shares: which backend takes a request, and which requests are mirrored."""

from collections.abc import Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class WeightedChoice(Generic[T]):
    """Chooses in turn, so that any run of choices is as near to the weights as it can be.

    This is nginx's smooth weighted round robin: each choice gives every backend its weight, takes the one that has
    most, and takes the sum of all weights from it. A weight of 0 is never chosen.
    """

    def __init__(self, weighted: Sequence[tuple[T, int]]) -> None:
        self._entries = [(item, weight) for item, weight in weighted if weight > 0]
        self._total = sum(weight for _, weight in self._entries)
        self._credit = [0] * len(self._entries)

    def next(self) -> T | None:
        """Gives the next choice; None when nothing has a weight."""
        if len(self._entries) < 2:
            return self._entries[0][0] if self._entries else None
        credit = self._credit
        for number, (_, weight) in enumerate(self._entries):
            credit[number] += weight
        best = max(range(len(credit)), key=credit.__getitem__)
        credit[best] -= self._total
        return self._entries[best][0]


class Share:
    """Says yes to `numerator` of every `denominator` requests, evenly spread."""

    def __init__(self, numerator: int, denominator: int) -> None:
        self._numerator, self._denominator = numerator, denominator
        self._credit = 0

    def next(self) -> bool:
        """Whether the next request is in the share."""
        self._credit += self._numerator
        if self._credit < self._denominator:
            return False
        self._credit -= self._denominator
        return True
