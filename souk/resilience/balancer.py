"""Balancer: to which instance of a service a call goes, and which are left out for a while.

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
"""Of its weight, for one that has just joined: without any calls it would never warm up."""


@dataclass(frozen=True, slots=True)
class EjectionSettings:
    """After `failures` in a row an instance is left out for `ejected_for`, longer each time.

    Never more than the part `most` of the instances is left out.
    """

    failures: int = 5
    ejected_for: Backoff = field(default_factory=lambda: Backoff(5.0, 300.0, jitter=0.0))
    most: float = 0.5


@dataclass(frozen=True, slots=True)
class BalancerSettings:
    """One that joins others gets its whole share of calls only after `warm_up` seconds.

    With a `zone`, instances of the same zone are preferred while at least the part `enough` of them can
    be called. Of more than `subset` instances a caller uses that many, which its `name` decides: each
    caller others, and nearly the same ones when instances come and go.
    """

    ejection: EjectionSettings = field(default_factory=EjectionSettings)
    warm_up: float = 0.0
    zone: str = ""
    enough: float = 0.5
    subset: int = 25
    name: str = ""


@dataclass(frozen=True, slots=True)
class BalancerMember:
    """Where an instance is, and what is known of it. `weight` is its share of calls beside others."""

    address: str
    zone: str = ""
    weight: int = 1


class BalancedInstance:
    """One instance, as its caller sees it."""

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
        """Takes over what is newly known of it."""
        self.zone, self.weight = member.zone, member.weight
        self.share = float(member.weight)
        return self


class Balancer:
    """The instances of one service."""

    def __init__(self, choice: Choice | None = None, settings: BalancerSettings | None = None) -> None:
        self._choice = choice or two_choices(Random())
        self._settings = settings or BalancerSettings()
        self._instances: dict[str, BalancedInstance] = {}
        self._warming: list[BalancedInstance] = []

    def update(self, members: Collection[BalancerMember], now: float) -> None:
        """Says where the instances are now; those that stay keep their history."""
        known, self._instances = self._instances, {}
        first = not known  # nobody is there who could take more meanwhile
        for member in self._subset(members):
            old = known.get(member.address)
            instance = old.described(member) if old else BalancedInstance(member, float("-inf") if first else now)
            self._instances[member.address] = instance
        self._warming = [one for one in self._instances.values() if self._is_warming(one, now)]

    def pick(self, now: float, avoid: Collection[str] = ()) -> BalancedInstance | None:
        """An instance to call, and counts the call; None if there is none at all.

        It is one that is not ejected and not to be avoided; if there is none, at least not ejected.
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
        """A call to `instance` has ended; `failed` is None if that says nothing about it."""
        instance.outstanding -= 1
        if failed is False:
            instance.failures = 0
        elif failed:
            instance.failures += 1
            if instance.failures >= self._settings.ejection.failures and instance.ejected_until <= now:
                self._eject(instance, now)

    def ejected(self, now: float) -> list[str]:
        """The addresses that are left out."""
        return [instance.address for instance in self._instances.values() if instance.ejected_until > now]

    def addresses(self) -> list[str]:
        """Those among which is chosen, ejected ones included."""
        return list(self._instances)

    def _eject(self, instance: BalancedInstance, now: float) -> None:
        ejection = self._settings.ejection
        if len(self.ejected(now)) + 1 > ejection.most * len(self._instances):
            return
        if now - instance.ejected_until > ejection.ejected_for.cap:
            instance.ejections = 0  # it was well for long
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
