"""A sidecar as the protocol describes it: what it wants, what it has taken, and what it does with a response."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from souk.mesh.envoy.resource import CLUSTER, ENDPOINTS, LISTENER, ROUTES, Resource
from souk.mesh.xds.exchange import ALL, DeltaRequest, DeltaResponse

TYPES = (CLUSTER, ENDPOINTS, LISTENER, ROUTES)
BAD = "bad"


def resource(type_url: str, name: str, version: str, awaits: tuple[tuple[str, str], ...] = ()) -> Resource:
    """Makes a resource without content. A sidecar rejects it when its version begins with BAD."""
    return Resource(type_url, name, version.encode(), version, awaits)


@dataclass
class ModelType:
    """One type, as the sidecar has it."""

    wildcard: bool = False
    names: set[str] = field(default_factory=set)
    held: dict[str, str] = field(default_factory=dict)
    rejected: dict[str, str | None] = field(default_factory=dict)

    def wants(self, name: str) -> bool:
        return self.wildcard or name in self.names


class ModelSidecar:
    """Keeps its state over streams, as Envoy does, and makes the requests that it would send."""

    def __init__(self) -> None:
        self.types: dict[str, ModelType] = {}
        self.begun: set[str] = set()

    def reconnect(self) -> list[DeltaRequest]:
        """Gives the first request of each type on a new stream."""
        self.begun = set()
        return [
            self._first(type_url, frozenset(each.names | ({ALL} if each.wildcard else set())))
            for type_url, each in self.types.items()
            if each.wildcard or each.names
        ]

    def subscribe(self, type_url: str, *names: str) -> DeltaRequest:
        """Asks for names; without any, in the first request of a type, for all."""
        each = self.types.setdefault(type_url, ModelType())
        each.wildcard |= ALL in names or not (names or each.names)
        each.names.update(set(names) - {ALL})
        if type_url not in self.begun:
            return self._first(type_url, frozenset(names))
        return DeltaRequest(type_url, subscribe=frozenset(names))

    def unsubscribe(self, type_url: str, name: str) -> DeltaRequest:
        """Wants a name no longer. What came by the wildcard is kept until the server says what is to become of it."""
        each = self.types[type_url]
        if name == ALL:
            each.wildcard = False
        else:
            each.names.discard(name)
        for kept in (each.held, each.rejected):
            for one in [one for one in kept if not each.wants(one)]:
                del kept[one]
        return DeltaRequest(type_url, unsubscribe=frozenset({name}))

    def take(self, response: DeltaResponse, *, capricious: bool = False) -> DeltaRequest:
        """Takes a response as a whole, or rejects it: when something in it is bad, or without any reason."""
        each = self.types[response.type_url]
        said: Mapping[str, str | None] = {one.name: one.version for one in response.resources} | dict.fromkeys(
            response.removed
        )
        assert len(said) == len(response.resources) + len(response.removed), "a name stands twice in a response"
        if capricious or any(version is not None and version.startswith(BAD) for version in said.values()):
            if len(said) == 1:
                each.rejected.update((name, version) for name, version in said.items() if each.wants(name))
            return DeltaRequest(response.type_url, nonce=response.nonce, error="it is bad")
        for name, version in said.items():
            each.rejected.pop(name, None)
            if version is None:
                each.held.pop(name, None)
            elif each.wants(name):
                each.held[name] = version
        return DeltaRequest(response.type_url, nonce=response.nonce)

    def _first(self, type_url: str, names: frozenset[str]) -> DeltaRequest:
        self.begun.add(type_url)
        return DeltaRequest(type_url, subscribe=names, initial_versions=dict(self.types[type_url].held))
