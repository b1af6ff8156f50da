"""What happens between a control plane and its sidecars, for whom it concerns."""

from souk.mesh.xds.subscription import Rejection


class ExchangeObserver:
    """Gets each event of the exchange with sidecars. This one ignores them; others override what they need."""

    def connected(self, node: str) -> None:
        """A sidecar has opened its stream."""

    def disconnected(self, node: str) -> None:
        """A sidecar's stream has ended, and it has no other one."""

    def sent(self, type_url: str) -> None:
        """A sidecar was sent a response."""

    def answered(self, type_url: str, seconds: float) -> None:
        """A sidecar has accepted or rejected a response, so many seconds after it was sent."""

    def rejected(self, node: str, type_url: str, rejection: Rejection) -> None:
        """A sidecar has not taken a version of a resource."""
