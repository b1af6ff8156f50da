"""What changed between two moments."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from souk.discovery.registry import Change, Changed, Instance, Joined, Left

Known = Mapping[str, Instance]
"""Instances of one service by id."""


def by_id(instances: Iterable[Instance]) -> dict[str, Instance]:
    """The instances in the order of their ids."""
    return {instance.id: instance for instance in sorted(instances, key=lambda one: one.id)}


def differences(before: Known, after: Known) -> list[Change]:
    """What must be told to someone who knows `before`: first what is there, then what is not there any more.

    In this order nobody sees a service without an instance while one is replaced by another.
    """
    changes: list[Change] = []
    for name, instance in after.items():
        if name not in before:
            changes.append(Joined(instance))
        elif before[name] != instance:
            changes.append(Changed(instance))
    return [*changes, *(Left(instance) for name, instance in before.items() if name not in after)]


def applied(before: Known, change: Change) -> dict[str, Instance]:
    """What is known after a change."""
    after = dict(before)
    if isinstance(change, Left):
        after.pop(change.instance.id, None)
    else:
        after[change.instance.id] = change.instance
    return after


@dataclass(slots=True)
class Memory:
    """What is known of a service across the lives of a registry that forgets.

    A registry that has just started does not know yet who is there. Until it has settled, an instance
    that only an earlier life knew is kept.
    """

    known: dict[str, Instance] = field(default_factory=dict)
    _life: str = ""
    _unconfirmed: dict[str, Instance] = field(default_factory=dict)

    def hear(self, life: str, settled: bool, instances: Iterable[Instance]) -> dict[str, Instance]:
        """Takes all that a life of the registry knows; returns what is to be believed."""
        listed = by_id(instances)
        if life != self._life:
            self._life, self._unconfirmed = life, self.known
        kept = {} if settled else {name: one for name, one in self._unconfirmed.items() if name not in listed}
        self._unconfirmed = kept
        self.known = by_id([*kept.values(), *listed.values()])
        return self.known
