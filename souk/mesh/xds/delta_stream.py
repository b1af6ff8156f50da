"""One sidecar's stream as a pure state machine: requests and snapshots in, responses out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count

from souk.mesh.envoy.resource import CLUSTER, ENDPOINTS, LISTENER, ROUTES, SECRET
from souk.mesh.xds.exchange import DeltaRequest, DeltaResponse, SidecarRefused
from souk.mesh.xds.snapshot import ResourceSnapshot
from souk.mesh.xds.subscription import Rejection, TypeSubscription

STAGES: Sequence[Sequence[str]] = ((CLUSTER, ENDPOINTS, SECRET), (LISTENER, ROUTES))
"""The types in the order in which they are sent. What is in the second stage waits until all of the first is taken: a
sidecar takes clusters when they are ready for requests, and for that it needs their endpoints and secrets."""
REMOVAL = (LISTENER, ROUTES, CLUSTER, ENDPOINTS, SECRET)
"""The order in which what was removed is: what points to others first."""
MOST_NAMES = 20_000
"""Names that a sidecar may want or have, of one type."""
LONGEST_NAME = 1_000
"""Characters of a name or a version."""
_SERVED = frozenset(REMOVAL)


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """What a sidecar has of one type: the version of each resource that it has taken, and what it has rejected.

    `waiting` tells whether a response is outstanding, or something is still to be sent.
    """

    held: Mapping[str, str]
    rejections: Sequence[Rejection]
    waiting: bool


class DeltaStream:
    """All types of one sidecar's stream. `rejections` are those of the node, by type, from earlier streams.

    While there is no snapshot nothing is sent: a sidecar keeps what it has when a control plane does not yet know what
    it is to have.
    """

    def __init__(self, rejections: dict[str, dict[str, Rejection]] | None = None) -> None:
        self._rejections = {} if rejections is None else rejections
        self._types: dict[str, TypeSubscription] = {}
        self._snapshot: ResourceSnapshot | None = None
        self._awaited: dict[str, set[str]] = {}
        self._nonces = count(1)

    def replace(self, snapshot: ResourceSnapshot) -> None:
        """Takes the sidecar's newest snapshot."""
        if self._snapshot is None:
            for each in self._types.values():
                each.consider(snapshot.names(each.type_url))
        else:
            for type_url, names in snapshot.changes_since(self._snapshot).items():
                if type_url in self._types:
                    self._types[type_url].consider(names)
        self._snapshot = snapshot

    def receive(self, request: DeltaRequest) -> Rejection | None:
        """Takes a request; returns what it rejects. Raises SidecarRefused when it asks for more than is kept."""
        _require_short(request)
        existing = set() if self._snapshot is None else self._snapshot.names(request.type_url)
        known = self._types.get(request.type_url)
        rejection = None
        if known is None:
            known = self._begin(request)
            known.consider(existing)
        else:
            rejection = known.acknowledge(request.nonce, request.error)
            known.change(request, existing)
        if known.size > MOST_NAMES:
            raise SidecarRefused(f"it asks for more than {MOST_NAMES} resources of one type")
        return rejection

    def response(self) -> DeltaResponse | None:
        """Makes the next response that may be sent now, and counts it as sent; None when nothing may be."""
        if self._snapshot is None:
            return None
        for stage in STAGES:
            types = [self._types[type_url] for type_url in stage if type_url in self._types]
            for each in types:
                if each.outstanding is None and (found := each.update(self._snapshot, self._nonce())) is not None:
                    self._remind(found)
                    return found
            if any(each.outstanding is not None for each in types):
                return None
        for type_url in REMOVAL:
            if (known := self._types.get(type_url)) is None:
                continue
            if known.outstanding is not None:
                return None
            if (found := known.removal(self._snapshot, self._nonce())) is not None:
                return found
        return None

    @property
    def at_rest(self) -> bool:
        """Whether the sidecar has asked for something, and has all of it but what it has rejected."""
        snapshot, types = self._snapshot, self._types.values()
        return snapshot is not None and bool(types) and all(each.at_rest(snapshot) for each in types)

    def acknowledgements(self) -> Mapping[str, Acknowledgement]:
        """Gives what the sidecar has, by type."""
        return {type_url: self._acknowledgement(each) for type_url, each in self._types.items()}

    def _begin(self, request: DeltaRequest) -> TypeSubscription:
        if request.type_url not in _SERVED:
            raise SidecarRefused(f"it asks for a type that is not served: {request.type_url[:LONGEST_NAME]!r}")
        rejections = self._rejections.setdefault(request.type_url, {})
        begun = self._types[request.type_url] = TypeSubscription(request.type_url, rejections)
        begun.begin(request)
        for name in self._awaited.pop(request.type_url, ()):
            begun.remind(name)
        return begun

    def _remind(self, response: DeltaResponse) -> None:
        """Has all be sent again that the sidecar waits for once it gets this response.

        After a reconnection it may name a type only later, and then says of each resource that it has it.
        """
        for type_url, name in (awaited for each in response.resources for awaited in each.awaits):
            if type_url in self._types:
                self._types[type_url].remind(name)
            else:
                self._awaited.setdefault(type_url, set()).add(name)

    def _acknowledgement(self, each: TypeSubscription) -> Acknowledgement:
        waiting = self._snapshot is None or not each.at_rest(self._snapshot)
        return Acknowledgement(dict(each.held), tuple(each.rejections.values()), waiting)

    def _nonce(self) -> str:
        return str(next(self._nonces))


def _require_short(request: DeltaRequest) -> None:
    texts = (*request.subscribe, *request.unsubscribe, *request.initial_versions, *request.initial_versions.values())
    if any(len(text) > LONGEST_NAME for text in texts):
        raise SidecarRefused(f"it names a resource with more than {LONGEST_NAME} characters")
