"""Alarms of a fleet that abort a canary: invariants that are broken, and sagas that were parked since it began.

They are read over the supervisor's private socket, as the console does.
"""

from collections.abc import Sequence
from pathlib import Path

from soukapi.v1 import accounts_pb2, accounts_pb2_grpc, parked_pb2, parked_pb2_grpc, sagas_pb2, sagas_pb2_grpc

from souk.admin.checks.invariants import BROKEN, checked_invariants
from souk.admin.client import operating_on
from souk.kernel.errors import ConfigurationError
from souk.mesh.canary.release import CanaryRelease
from souk.runtime.service import Invariant

PATIENCE = 15.0
"""Seconds for the processes of a fleet to answer."""
MOST_RUNS = 1_000
"""Parked sagas of a service that are gone through."""
_SHOWN = 3


class FleetAlarms:
    """The alarms of the fleet on a data directory; a `CanaryAlarms`.

    A saga counts if one of its steps was parked since the canary began, unless it has met another release of the
    service, in which it stays. Invariants between services are compared only
    when nothing is under way, those of one service always.
    """

    def __init__(self, data: Path, invariants: Sequence[Invariant]) -> None:
        self._system = SystemBooks(data)
        self._invariants = invariants

    async def raised(self, release: CanaryRelease, since: int) -> tuple[str, ...]:
        """Says which sagas are parked and which invariants are broken since a moment, a line each.

        Raises ConfigurationError when the fleet does not answer, and when too many sagas are parked to find new ones.
        """
        return (*await self._parked(release, since), *await self._broken())

    async def _parked(self, release: CanaryRelease, since: int) -> list[str]:
        found = await self._system.saga_runs(sagas_pb2.ListSagaRunsRequest(state="parked", limit=MOST_RUNS))
        if found.more:  # the oldest are found, and none of those counts that were parked since
            raise ConfigurationError(f"more than {MOST_RUNS} sagas are parked: see `souk saga list --state parked`")
        concerned = [run for run in found.runs if _may_have_met(run, release)]
        parked = [line for run in concerned for line in _parked_since(run, since)]
        more = len(parked) - _SHOWN
        return parked[:_SHOWN] + ([f"and {more} more"] if more > 0 else [])

    async def _broken(self) -> list[str]:
        if not self._invariants:
            return []
        found = await checked_invariants(self._system, self._invariants)
        return [f"the invariant {one['name']!r} is broken" for one in found.checked if one["state"] == BROKEN]


class SystemBooks:
    """Asks the system on a data directory. Each method raises ConfigurationError when it does not answer."""

    def __init__(self, data: Path) -> None:
        self._data = data

    async def saga_runs(self, request: sagas_pb2.ListSagaRunsRequest) -> sagas_pb2.ListSagaRunsResponse:
        """Lists runs of sagas."""
        async with operating_on(self._data) as channel:
            return await sagas_pb2_grpc.SagasStub(channel).ListSagaRuns(request, timeout=PATIENCE)

    async def lag(self) -> parked_pb2.ListLagResponse:
        """Lists the consumers that are behind."""
        async with operating_on(self._data) as channel:
            work = parked_pb2_grpc.ParkedWorkStub(channel)
            return await work.ListLag(parked_pb2.ListLagRequest(), timeout=PATIENCE)

    async def accounts(self) -> accounts_pb2.ReadAccountsResponse:
        """Reads every account."""
        async with operating_on(self._data) as channel:
            books = accounts_pb2_grpc.AccountsStub(channel)
            return await books.ReadAccounts(accounts_pb2.ReadAccountsRequest(), timeout=PATIENCE)


def _may_have_met(run: sagas_pb2.SagaRun, release: CanaryRelease) -> bool:
    """Tells whether a run has met the release, or none of the service: a call that is not answered says none."""
    return run.releases.get(release.service, release.version) == release.version


def _parked_since(run: sagas_pb2.SagaRun, since: int) -> list[str]:
    return [
        f"{run.id} is parked at {step.name!r}: {step.note or 'no reason given'}"
        for step in run.steps
        if "parked" in step.state and step.changed_at.ToMicroseconds() >= since
    ]
