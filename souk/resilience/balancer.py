"""Balancer: chooses the instance of a service for each call, and leaves out failing instances for a while.

Pure: time is an argument, in seconds. Sources: Envoy, "Outlier detection" (consecutive failures), "Slow
start" and "Zone aware routing"; David Thaler and Chinya Ravishankar, "Using Name-Based Mappings to
Increase Hit Rates" (rendezvous hashing), for subsets.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from hashlib import blake2b
from random import Random

from souk.resilience.backoff import Backoff
from souk.resilience.choices import Choice, two_choices

__all__ = ["BalancedInstance", "Balancer", "BalancerMember", "BalancerSettings", "Choice", "EjectionSettings"]

_LEAST_SHARE = 0.1
"""The part of its weight that an instance has when it joins: without any calls it would never warm up."""


@dataclass(frozen=True, slots=True)
class EjectionSettings:
    """When an instance is ejected: after `failures` in a row, for `ejected_for`, longer each time.

    At most the fraction `most` of the instances is ejected at once.
    """

    failures: int = 5
    ejected_for: Backoff = field(default_factory=lambda: Backoff(5.0, 300.0, jitter=0.0))
    most: float = 0.5


@dataclass(frozen=True, slots=True)
class BalancerSettings:
    """How a balancer chooses.

    An instance that joins others gets its whole share of calls only after `warm_up` seconds. With a `zone`,
    instances of the same zone are preferred while at least the fraction `enough` of them is not ejected. If there
    are more than `subset` instances, a caller uses only that many. Its `name` decides which: different callers use
    different subsets, and a subset changes little when instances come and go.
    """

    ejection: EjectionSettings = field(default_factory=EjectionSettings)
    warm_up: float = 0.0
    zone: str = ""
    enough: float = 0.5
    subset: int = 25
    name: str = ""


@dataclass(frozen=True, slots=True)
class BalancerMember:
    """An instance as discovery describes it. `weight` is its share of calls relative to the other instances."""

    address: str
    zone: str = ""
    weight: int = 1


class BalancedInstance:
    """One instance with the caller's record of it: calls under way, failures in a row, ejections."""

    __slots__ = (
        "address",
        "ejected_until",
        "ejections",
        "failures",
        "joined",
        "outstanding",
        "share",
        "weight",
        "zone",
    )

    def __init__(self, member: BalancerMember, joined: float) -> None:
        self.address = member.address
        self.joined = joined
        self.outstanding = 0
        self.failures = 0
        self.ejections = 0
        self.ejected_until = float("-inf")
        self.described(member)

    def described(self, member: BalancerMember) -> "BalancedInstance":
        """Takes over the zone and the weight from a new description; returns the instance."""
        self.zone, self.weight = member.zone, member.weight
        self.share = float(member.weight)
        return self


class Balancer:
    """The instances of one service, and the choice among them."""

    def __init__(self, choice: Choice | None = None, settings: BalancerSettings | None = None) -> None:
        self._choice = choice or two_choices(Random())
        self._settings = settings or BalancerSettings()
        self._instances: dict[str, BalancedInstance] = {}
        self._warming: list[BalancedInstance] = []

    def update(self, members: Collection[BalancerMember], now: float) -> None:
        """Replaces the set of instances; those that stay keep their history."""
        known, self._instances = self._instances, {}
        first = not known  # the first instances do not warm up: no others could take the calls meanwhile
        for member in self._subset(members):
            old = known.get(member.address)
            instance = old.described(member) if old else BalancedInstance(member, float("-inf") if first else now)
            self._instances[member.address] = instance
        self._warming = [one for one in self._instances.values() if self._is_warming(one, now)]

    def pick(self, now: float, avoid: Collection[str] = ()) -> BalancedInstance | None:
        """Chooses an instance to call, and counts the call; None if there is no instance at all.

        It is an instance that is neither ejected nor in `avoid`; if there is none, one that is not ejected; if all
        are ejected, any of them.
        """
        able = [instance for instance in self._instances.values() if instance.ejected_until <= now]
        if self._settings.zone:
            able = self._near(able)
        preferred = [instance for instance in able if instance.address not in avoid] if avoid else able
        chosen = preferred or able or list(self._instances.values())
        if not chosen:
            return None
        if self._warming:
            self._warm(now)
        instance = chosen[self._choice(chosen)]
        instance.outstanding += 1
        return instance

    def ended(self, instance: BalancedInstance, now: float, failed: bool | None) -> None:
        """Records that a call to `instance` has ended; `failed` is None if the end says nothing about the instance."""
        instance.outstanding -= 1
        if failed is False:
            instance.failures = 0
        elif failed:
            instance.failures += 1
            if instance.failures >= self._settings.ejection.failures and instance.ejected_until <= now:
                self._eject(instance, now)

    def ejected(self, now: float) -> list[str]:
        """Returns the addresses of the ejected instances."""
        return [instance.address for instance in self._instances.values() if instance.ejected_until > now]

    def addresses(self) -> list[str]:
        """Returns the addresses of the instances to choose from, including ejected ones."""
        return list(self._instances)

    def _eject(self, instance: BalancedInstance, now: float) -> None:
        ejection = self._settings.ejection
        if len(self.ejected(now)) + 1 > ejection.most * len(self._instances):
            return
        if now - instance.ejected_until > ejection.ejected_for.cap:
            instance.ejections = 0  # the last ejection is long ago
        instance.ejections += 1
        instance.failures = 0
        instance.ejected_until = now + ejection.ejected_for.longest(instance.ejections)

    def _near(self, able: list[BalancedInstance]) -> list[BalancedInstance]:
        near = [instance for instance in able if instance.zone == self._settings.zone]
        known = sum(instance.zone == self._settings.zone for instance in self._instances.values())
        return near if near and len(near) >= self._settings.enough * known else able

    def _is_warming(self, instance: BalancedInstance, now: float) -> bool:
        return now - instance.joined < self._settings.warm_up

    def _warm(self, now: float) -> None:
        for instance in self._warming:
            part = (now - instance.joined) / self._settings.warm_up
            instance.share = instance.weight * min(1.0, max(_LEAST_SHARE, part))
        self._warming = [instance for instance in self._warming if self._is_warming(instance, now)]

    def _subset(self, members: Collection[BalancerMember]) -> Iterable[BalancerMember]:
        settings = self._settings
        if len(members) <= settings.subset:
            return members
        return sorted(members, key=lambda member: _rank(settings.name, member.address))[: settings.subset]


def _rank(name: str, address: str) -> bytes:
    return blake2b(f"{name} {address}".encode(), digest_size=8).digest()
