"""What the controller of canaries needs of the fleet and of its sidecars."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from souk.kernel.errors import SoukError
from souk.mesh.canary.release import CanaryRelease, CanaryShare
from souk.mesh.canary.tally import Tally


@dataclass(frozen=True, slots=True)
class VersionReadiness:
    """How many instances of a version answer; `failed` says in one line why there will be no more, and is empty
    while they are starting or run (as when one has crashed more often than the supervisor restarts it)."""

    ready: int
    failed: str = ""


class ShareRejected(SoukError):
    """A sidecar does not take the share of a version; its text says which, and why."""


class CanaryTraffic(Protocol):
    """Instances of a version, and their share of the calls.

    Every method may be called again with the same arguments, also in another process after the first was killed in
    the midst of it, and does then what is left to do. Each is one of one canary after the other; canaries of two
    services may call at the same time. Each raises SoukError when it cannot be done now, and is then tried again.
    """

    def admit(self, release: CanaryRelease) -> None:
        """Raises ConfigurationError, in one line, if a canary of this release cannot begin; changes nothing."""

    async def start(self, release: CanaryRelease) -> None:
        """Has instances of the version started, without calls; does not wait until they are ready."""

    async def readiness(self, release: CanaryRelease) -> VersionReadiness:
        """Says how many instances of the version are ready for calls."""

    async def route(self, release: CanaryRelease, share: CanaryShare) -> None:
        """Gives the version its share of the calls from now on; what it has begun stays with it.

        Also the header and the user of the release meet it from the first `route` on.
        Raises ShareRejected when a sidecar does not take it.
        """

    def restore(self, release: CanaryRelease, share: CanaryShare) -> None:
        """Has sidecars go on with the share that they have, in a control plane that has begun anew and does not serve
        them yet: they must not lose it for a moment."""

    async def adopt(self, release: CanaryRelease) -> None:
        """Makes the version the baseline: its instances replace those that were there, and the split ends."""

    async def remove(self, release: CanaryRelease) -> None:
        """Takes every call from the version at once, and then stops its instances."""


class CanaryObservations(Protocol):
    """What the callers' sidecars report of tries of the service while its calls are split."""

    def tallies(self, service: str) -> Mapping[str, Tally]:
        """Gives what was reported since this process began, by version: those of a canary by its version, all others
        by the name of the baseline's version or by an empty one.

        Counts never fall while the process lives. A failure is what the contract calls one, not a refusal. A try that
        was not sent, since no instance of the version could be reached, is a failure of the version. Copies that a
        mirror made are counted as calls of the version, where they are reported.
        """


class CanaryAlarms(Protocol):
    """What aborts a canary at once, whatever its share of failures is."""

    async def raised(self, release: CanaryRelease, since: int) -> tuple[str, ...]:
        """Says, a line each, which invariants are broken and which sagas the version has parked since a moment.

        `since` is in microseconds since the epoch. Raises SoukError when it cannot be found out now.
        """
