"""Algorithms that choose one of several instances. Pure: randomness is an argument.

Each gets the instances that may be called, with the share of calls that each can take at the moment.
Sources: Michael Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing"; nginx, smooth
weighted round robin.
"""

from collections.abc import Callable, Sequence
from random import Random
from typing import Protocol


class Candidate(Protocol):
    """An instance to choose from: its calls under way, and the share of calls that it can take relative to others."""

    address: str
    outstanding: int
    share: float


Choice = Callable[[Sequence[Candidate]], int]
"""Chooses one of the candidates, of which there is at least one; returns its index."""


def two_choices(random: Random) -> Choice:
    """Chooses the less busy of two random candidates: the one with fewer calls under way for its share."""

    def choose(candidates: Sequence[Candidate]) -> int:
        if len(candidates) == 1:
            return 0
        first = int(random.random() * len(candidates))
        second = int(random.random() * (len(candidates) - 1))
        second += second >= first
        one, other = candidates[first], candidates[second]
        return first if (one.outstanding + 1) * other.share <= (other.outstanding + 1) * one.share else second

    return choose


def at_random(random: Random) -> Choice:
    """Chooses a random candidate, with a probability in proportion to its share."""

    def choose(candidates: Sequence[Candidate]) -> int:
        left = random.random() * sum(candidate.share for candidate in candidates)
        for index, candidate in enumerate(candidates):
            left -= candidate.share
            if left < 0:
                return index
        return len(candidates) - 1

    return choose


def round_robin() -> Choice:
    """Chooses one candidate after the other, each as often as its share says, evenly spread."""
    credit: dict[str, float] = {}

    def choose(candidates: Sequence[Candidate]) -> int:
        for gone in credit.keys() - {candidate.address for candidate in candidates}:
            del credit[gone]
        for candidate in candidates:
            credit[candidate.address] = credit.get(candidate.address, 0.0) + candidate.share
        index = max(range(len(candidates)), key=lambda at: credit[candidates[at].address])
        credit[candidates[index].address] -= sum(candidate.share for candidate in candidates)
        return index

    return choose
