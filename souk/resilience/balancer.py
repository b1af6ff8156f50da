"""Balancer: to which instance of a service a call goes, and which are left out for a while.

Pure: time is an argument, in seconds. Sources: Michael Mitzenmacher, "The Power of Two Choices in
Randomized Load Balancing"; Envoy, "Outlier detection" (consecutive failures).
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from random import Random

from souk.resilience.backoff import Backoff


@dataclass(frozen=True, slots=True)
class EjectionSettings:
    """After `failures` in a row an instance is left out for `ejected_for`, longer each time.

    Never more than the part `most` of the instances is left out.
    """

    failures: int = 5
    ejected_for: Backoff = field(default_factory=lambda: Backoff(5.0, 300.0, jitter=0.0))
    most: float = 0.5


class Instance:
    """One instance, as its caller sees it."""

    __slots__ = ("address", "ejected_until", "ejections", "failures", "outstanding")

    def __init__(self, address: str) -> None:
        self.address = address
        self.outstanding = 0
        self.failures = 0
        self.ejections = 0
        self.ejected_until = float("-inf")


Choice = Callable[[Sequence[Instance]], Instance]
"""Chooses one of at least one."""


def two_choices(random: Random) -> Choice:
    """The less busy one of two at random."""

    def choose(instances: Sequence[Instance]) -> Instance:
        if len(instances) == 1:
            return instances[0]
        first, second = random.sample(instances, 2)
        return first if first.outstanding <= second.outstanding else second

    return choose


def at_random(random: Random) -> Choice:
    """Any."""
    return random.choice


def round_robin() -> Choice:
    """One after the other."""
    turn = 0

    def choose(instances: Sequence[Instance]) -> Instance:
        nonlocal turn
        turn += 1
        return instances[turn % len(instances)]

    return choose


class Balancer:
    """The instances of one service."""

    def __init__(self, choice: Choice | None = None, settings: EjectionSettings | None = None) -> None:
        self._choice = choice or two_choices(Random())
        self._settings = settings or EjectionSettings()
        self._instances: dict[str, Instance] = {}

    def update(self, addresses: Collection[str]) -> None:
        """Says where the instances are now; those that stay keep their history."""
        self._instances = {address: self._instances.get(address) or Instance(address) for address in addresses}

    def pick(self, now: float, avoid: Collection[str] = ()) -> Instance | None:
        """An instance to call, and counts the call; None if there is none at all.

        It is one that is not ejected and not to be avoided; if there is none, at least not ejected.
        """
        able = [instance for instance in self._instances.values() if instance.ejected_until <= now]
        preferred = [instance for instance in able if instance.address not in avoid] if avoid else able
        chosen = preferred or able or list(self._instances.values())
        if not chosen:
            return None
        instance = self._choice(chosen)
        instance.outstanding += 1
        return instance

    def ended(self, instance: Instance, now: float, failed: bool | None) -> None:
        """A call to `instance` has ended; `failed` is None if that says nothing about it."""
        instance.outstanding -= 1
        if failed is False:
            instance.failures = 0
        elif failed:
            instance.failures += 1
            if instance.failures >= self._settings.failures and instance.ejected_until <= now:
                self._eject(instance, now)

    def ejected(self, now: float) -> list[str]:
        """The addresses that are left out."""
        return [instance.address for instance in self._instances.values() if instance.ejected_until > now]

    def _eject(self, instance: Instance, now: float) -> None:
        if len(self.ejected(now)) + 1 > self._settings.most * len(self._instances):
            return
        backoff = self._settings.ejected_for
        if now - instance.ejected_until > backoff.cap:
            instance.ejections = 0  # it was well for long
        instance.ejections += 1
        instance.failures = 0
        instance.ejected_until = now + backoff.longest(instance.ejections)
