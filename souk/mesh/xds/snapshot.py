"""What sidecars are to have: groups of resources, which many of them may share, and a snapshot of groups for each."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from weakref import ReferenceType, ref

from souk.mesh.envoy.resource import Resource

Changes = Mapping[str, frozenset[str]]
"""The names of resources that differ, by type."""


class ResourceGroup:
    """Resources that do not change; a change is a new group. Sidecars that share a group share its bytes."""

    def __init__(self, resources: Iterable[Resource] = ()) -> None:
        self._types: dict[str, dict[str, Resource]] = {}
        for each in resources:
            self._types.setdefault(each.type_url, {})[each.name] = each
        self._compared: tuple[ReferenceType[ResourceGroup], Changes] | None = None

    def of_type(self, type_url: str) -> Mapping[str, Resource]:
        """Gives the resources of a type by their names."""
        return self._types.get(type_url, {})

    def changes_since(self, older: "ResourceGroup") -> Changes:
        """Compares with another group. The last comparison is kept: all sidecars that share the group ask for it."""
        if older is self:
            return {}
        if self._compared is not None and self._compared[0]() is older:
            return self._compared[1]
        types = self._types.keys() | older._types.keys()
        changes = {type_url: _differing(self.of_type(type_url), older.of_type(type_url)) for type_url in types}
        self._compared = (ref(older), changes)
        return changes


_NOTHING = ResourceGroup()


class ResourceSnapshot:
    """All resources that one sidecar may ask for. Where two groups have one of the same type and name, the later
    group's counts.

    Those `withheld`, names by type, are not known yet: the sidecar keeps what it has of them, and is sent nothing.
    """

    def __init__(self, *groups: ResourceGroup, withheld: Changes | None = None) -> None:
        self._groups = groups
        self._withheld = {} if withheld is None else withheld

    def withholds(self, type_url: str, name: str) -> bool:
        """Tells whether it is not known yet what there is of that type and name."""
        return name in self._withheld.get(type_url, ())

    def find(self, type_url: str, name: str) -> Resource | None:
        """Gives a resource, or None when there is none of that type and name."""
        for group in reversed(self._groups):
            if (found := group.of_type(type_url).get(name)) is not None:
                return found
        return None

    def names(self, type_url: str) -> set[str]:
        """Gives the names of all resources of a type."""
        return {name for group in self._groups for name in group.of_type(type_url)}

    def changes_since(self, older: "ResourceSnapshot") -> Mapping[str, set[str]]:
        """Gives the names that may differ from those of another snapshot, by type. Groups are compared in order."""
        changed: dict[str, set[str]] = {}
        for at in range(max(len(self._groups), len(older._groups))):
            new, old = _group_at(self._groups, at), _group_at(older._groups, at)
            for type_url, names in new.changes_since(old).items():
                changed.setdefault(type_url, set()).update(names)
        return changed


@dataclass(frozen=True, slots=True, order=True)
class PublishedVersion:
    """A version of a resource that a node is to have; an empty one is its removal."""

    node: str
    type_url: str
    name: str
    version: str


def changed_versions(node: str, new: ResourceSnapshot, old: ResourceSnapshot) -> set[PublishedVersion]:
    """Gives what a node is to have that its former snapshot did not have."""
    changed = set[PublishedVersion]()
    for type_url, names in new.changes_since(old).items():
        for name in names:
            found, former = new.find(type_url, name), old.find(type_url, name)
            version = "" if found is None else found.version
            if version != ("" if former is None else former.version):
                changed.add(PublishedVersion(node, type_url, name, version))
    return changed


def _group_at(groups: tuple[ResourceGroup, ...], at: int) -> ResourceGroup:
    return groups[at] if at < len(groups) else _NOTHING


def _differing(new: Mapping[str, Resource], old: Mapping[str, Resource]) -> frozenset[str]:
    changed = {name for name, each in new.items() if name not in old or old[name].version != each.version}
    return frozenset(changed | (old.keys() - new.keys()))
