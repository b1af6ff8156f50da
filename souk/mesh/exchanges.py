"""What has happened between the control plane and its sidecars: since when each is connected, and what it rejected."""

from dataclasses import dataclass

from souk.kernel.clock import Clock
from souk.mesh.xds.observer import ExchangeObserver
from souk.mesh.xds.subscription import Rejection


@dataclass(frozen=True, slots=True)
class Connection:
    """Whether a sidecar is connected, and since when, in microseconds since 1970."""

    connected: bool
    since: int


@dataclass(frozen=True, slots=True)
class PolicyRejection:
    """What a node rejected: under which revision of the policy, and when, in microseconds since 1970."""

    node: str
    type_url: str
    rejection: Rejection
    revision: int
    at: int


class ExchangeHistory(ExchangeObserver):
    """Keeps it in memory: the newest rejection of each resource by each node. `counts` gets each event, too."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.revision = 1
        self.counts = ExchangeObserver()
        self._connections: dict[str, Connection] = {}
        self._rejections: dict[tuple[str, str, str], PolicyRejection] = {}

    def connection(self, node: str) -> Connection:
        """Gives the connection of a node; one that has never connected is not, since the beginning of time."""
        return self._connections.get(node, Connection(connected=False, since=0))

    def about(self, node: str, type_url: str, rejection: Rejection) -> PolicyRejection:
        """Finds when a node rejected something; revision 0 and no date if that is not known."""
        kept = self._rejections.get((node, type_url, rejection.name))
        if kept is not None and kept.rejection == rejection:
            return kept
        return PolicyRejection(node, type_url, rejection, 0, 0)

    def forget(self, node: str) -> None:
        """Forgets a node."""
        self._connections.pop(node, None)
        self._rejections = {key: one for key, one in self._rejections.items() if key[0] != node}

    def connected(self, node: str) -> None:
        self._connections[node] = Connection(connected=True, since=self._clock.now())

    def disconnected(self, node: str) -> None:
        self._connections[node] = Connection(connected=False, since=self._clock.now())

    def sent(self, type_url: str) -> None:
        self.counts.sent(type_url)

    def answered(self, type_url: str, seconds: float) -> None:
        self.counts.answered(type_url, seconds)

    def rejected(self, node: str, type_url: str, rejection: Rejection) -> None:
        self.counts.rejected(node, type_url, rejection)
        self._rejections[node, type_url, rejection.name] = PolicyRejection(
            node, type_url, rejection, self.revision, self._clock.now()
        )
