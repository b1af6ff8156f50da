"""Computes the changes between two sets of instances, and applies a change to one."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from souk.discovery.registry import Change, Changed, Instance, Joined, Left

Known = Mapping[str, Instance]
"""Instances of one service by id."""


def by_id(instances: Iterable[Instance]) -> dict[str, Instance]:
    """Returns the instances by id, in the order of their ids."""
    return {instance.id: instance for instance in sorted(instances, key=lambda one: one.id)}


def differences(before: Known, after: Known) -> list[Change]:
    """Returns the changes that lead from `before` to `after`: first `Joined` and `Changed`, then `Left`.

    In this order a watcher never sees a service without an instance while one instance replaces another.
    """
    changes: list[Change] = []
    for name, instance in after.items():
        if name not in before:
            changes.append(Joined(instance))
        elif before[name] != instance:
            changes.append(Changed(instance))
    return [*changes, *(Left(instance) for name, instance in before.items() if name not in after)]


def applied(before: Known, change: Change) -> dict[str, Instance]:
    """Returns the known instances after a change."""
    after = dict(before)
    if isinstance(change, Left):
        after.pop(change.instance.id, None)
    else:
        after[change.instance.id] = change.instance
    return after


@dataclass(slots=True)
class Memory:
    """The known instances of a service, kept over restarts of a registry that forgets.

    A registry that has just started does not know all instances yet. Until it has settled, an instance
    that was known only before the restart is kept.
    """

    known: dict[str, Instance] = field(default_factory=dict)
    _life: str = ""
    _unconfirmed: dict[str, Instance] = field(default_factory=dict)

    def receive(self, life: str, settled: bool, instances: Iterable[Instance]) -> dict[str, Instance]:
        """Takes all instances that the registry lists in one `life`, between two restarts; returns those to use."""
        listed = by_id(instances)
        if life != self._life:
            self._life, self._unconfirmed = life, self.known
        kept = {} if settled else {name: one for name, one in self._unconfirmed.items() if name not in listed}
        self._unconfirmed = kept
        self.known = by_id([*kept.values(), *listed.values()])
        return self.known
