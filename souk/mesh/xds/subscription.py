"""One type on one stream: what the sidecar wants of it, has of it, and has rejected."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from souk.mesh.xds.exchange import ALL, DeltaRequest, DeltaResponse
from souk.mesh.xds.snapshot import ResourceSnapshot

MOST_BYTES = 2 * 1024 * 1024
"""A response that has reached this size is sent; the rest follows in the next one."""
LONGEST_ERROR = 2_000
"""Characters that are kept of the reason of a rejection."""

Version = str | None
"""The version of a resource; None where it does not exist."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """A version of a resource that a sidecar did not take, and why; None is its removal."""

    name: str
    version: Version
    error: str


@dataclass(frozen=True, slots=True)
class Outstanding:
    """A response that the sidecar has not yet accepted or rejected: what it says of each name."""

    nonce: str
    versions: dict[str, Version]


class TypeSubscription:
    """Decides what is sent of one type. At most one response is outstanding.

    `_due` are the names that are to be compared with the snapshot, and `_asked` those of them that are sent whatever
    the sidecar has, because it has asked for them by name. `rejections` may come from an earlier stream of the node.
    """

    def __init__(self, type_url: str, rejections: dict[str, Rejection]) -> None:
        self.type_url = type_url
        self.rejections = rejections
        self.held: dict[str, str] = {}
        self.outstanding: Outstanding | None = None
        self._wildcard = False
        self._names: set[str] = set()
        self._due: set[str] = set()
        self._asked: set[str] = set()
        self._apart: deque[list[str]] = deque()
        self._answer_owed = False

    @property
    def size(self) -> int:
        """The number of names that are kept for the sidecar."""
        return len(self._names) + len(self.held) + len(self._due)

    def wants(self, name: str) -> bool:
        """Whether the sidecar is to have the resource of that name."""
        return self._wildcard or name in self._names

    def begin(self, request: DeltaRequest) -> None:
        """Takes the first request of the type. Without any name it asks for all.

        A rejection counts on while the sidecar has another version. Without any it is sent the newest once more: it may
        be another process, or may have forgotten the resource meanwhile.
        """
        self._names = set(request.subscribe - {ALL})
        self._wildcard = ALL in request.subscribe or not (request.subscribe or request.unsubscribe)
        self.held = {name: version for name, version in request.initial_versions.items() if self.wants(name)}
        self._asked = self._names - self.held.keys()
        self._due = self._names | self.held.keys()
        self._answer_owed = self._wildcard and not self.held
        for name in self.rejections.keys() - self.held.keys():
            del self.rejections[name]

    def change(self, request: DeltaRequest, existing: Iterable[str]) -> None:
        """Takes what a later request wants or wants no longer; `existing` are the names in the snapshot."""
        if ALL in request.unsubscribe:
            self._wildcard = False
            for name in (self.held.keys() | self.rejections.keys()) - self._names:
                self._forget(name)
        for name in request.unsubscribe - {ALL}:
            self._names.discard(name)
            if self._wildcard:  # the sidecar does not know whether it still is to have it
                self._ask(name)
            else:
                self._forget(name)
        self._names |= request.subscribe - {ALL}
        asked = set(request.subscribe)
        if ALL in asked:
            self._wildcard = self._answer_owed = True
            asked.update(existing)
        for name in asked - {ALL}:
            self.rejections.pop(name, None)
            self._ask(name)

    def consider(self, names: Iterable[str]) -> None:
        """Takes note that these resources may have changed."""
        self._due.update(names if self._wildcard else self._names.intersection(names))

    def remind(self, name: str) -> None:
        """Takes note that the sidecar waits for a resource once more. What it has rejected would not help it."""
        if self.wants(name) and name not in self.rejections:
            self._ask(name)

    def acknowledge(self, nonce: str, error: str | None) -> Rejection | None:
        """Takes the sidecar's word on the outstanding response; returns what it rejected.

        A nonce of another response says nothing. A response with several names that was rejected is sent again in
        halves; one with a single name is a rejection of that version.
        """
        if self.outstanding is None or nonce != self.outstanding.nonce:
            return None
        versions, self.outstanding = self.outstanding.versions, None
        names = [name for name in versions if self.wants(name)]
        if error is None:
            for name in names:
                self._accept(name, versions[name])
        elif len(versions) > 1:
            half = len(names) // 2
            self._apart.extendleft((names[half:], names[:half]))
            self._due.update(names)
            self._asked.update(names)
        elif names:
            rejection = Rejection(names[0], versions[names[0]], error[:LONGEST_ERROR])
            self.rejections[names[0]] = rejection
            return rejection
        return None

    def update(self, snapshot: ResourceSnapshot, nonce: str) -> DeltaResponse | None:
        """Makes the response with what is new or was asked for, if there is any."""
        while self._apart:
            if names := [name for names in self._sort(self._apart.popleft(), snapshot) for name in names]:
                return self._respond(names, snapshot, nonce)
        names, _ = self._sort(self._due, snapshot)
        if names or self._answer_owed:
            return self._respond(names, snapshot, nonce)
        return None

    def removal(self, snapshot: ResourceSnapshot, nonce: str) -> DeltaResponse | None:
        """Makes the response with what the sidecar has and is not to have any more, if there is any."""
        _, names = self._sort(self._due, snapshot)
        return self._respond(names, snapshot, nonce) if names else None

    def at_rest(self, snapshot: ResourceSnapshot) -> bool:
        """Whether the sidecar has all that it is to have, but for what it has rejected."""
        waiting = self.outstanding is not None or self._answer_owed or self._apart
        return not waiting and not any(self._sort(self._due, snapshot))

    def _accept(self, name: str, version: Version) -> None:
        self.rejections.pop(name, None)
        if version is None:
            self.held.pop(name, None)
        else:
            self.held[name] = version

    def _ask(self, name: str) -> None:
        self._asked.add(name)
        self._due.add(name)

    def _forget(self, name: str) -> None:
        self.held.pop(name, None)
        self.rejections.pop(name, None)
        self._asked.discard(name)
        self._due.discard(name)

    def _sort(self, names: Iterable[str], snapshot: ResourceSnapshot) -> tuple[list[str], list[str]]:
        """Gives the names to be sent, and those to be removed. The others are as they should be, and not due, or are
        withheld, and stay due."""
        updates, removals = [], []
        for name in sorted(names):
            if snapshot.withholds(self.type_url, name):
                continue
            found = snapshot.find(self.type_url, name)
            version = None if found is None else found.version
            if not self._differs(name, version):
                self._due.discard(name)
                self._asked.discard(name)
            elif found is None and name not in self._asked:
                removals.append(name)
            else:
                updates.append(name)
        return updates, removals

    def _differs(self, name: str, version: Version) -> bool:
        if not self.wants(name):
            return False
        rejection = self.rejections.get(name)
        if rejection is not None and rejection.version != version:
            del self.rejections[name]
            rejection = None
        if name in self._asked:
            return True
        return rejection is None and self.held.get(name) != version

    def _respond(self, names: list[str], snapshot: ResourceSnapshot, nonce: str) -> DeltaResponse:
        resources, removed, size = [], [], 0
        for name in names:
            found = snapshot.find(self.type_url, name)
            if found is None:
                removed.append(name)
            else:
                resources.append(found)
                size += len(found.body)
            self._due.discard(name)
            self._asked.discard(name)
            if size >= MOST_BYTES:
                break
        self._answer_owed = False
        versions: dict[str, Version] = {each.name: each.version for each in resources}
        self.outstanding = Outstanding(nonce, versions | dict.fromkeys(removed))
        return DeltaResponse(self.type_url, nonce, tuple(resources), tuple(removed))
