"""Canaries in a fleet: the supervisor starts and stops their processes, and sidecars get their share of the calls."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from soukapi.v1 import versions_pb2 as pb
from soukapi.v1 import versions_pb2_grpc

from souk.admin.client import operating_on
from souk.kernel.errors import ConfigurationError
from souk.mesh.canary.ports import ShareRejected, VersionReadiness
from souk.mesh.canary.release import CanaryRelease, CanaryShare
from souk.mesh.control_plane import ControlPlane
from souk.mesh.policy.policy import CanarySplit
from souk.rpc.sidecar import SUBJECT

TAKEN_WITHIN = 5.0
"""Seconds in which sidecars take what has changed; one that hangs is not waited for any longer."""
ANSWERED_WITHIN = 5.0
"""Seconds in which the supervisor answers what it does at once. A version is not judged while that is awaited."""
GONE_WITHIN = 30.0
"""Seconds in which the instances of a version that was stopped leave the registry."""
ADOPTED_WITHIN = 600.0
STOPPED_WITHIN = 120.0
_POLL = 0.1


class FleetTraffic:
    """A `CanaryTraffic` of the fleet on a data directory, whose sidecars `plane` configures."""

    def __init__(self, plane: ControlPlane, data: Path) -> None:
        self._plane, self._data = plane, data

    def admit(self, release: CanaryRelease) -> None:
        """Refuses a version that runs already, as the baseline then would be its canary, and a service whose calls the
        policy splits."""
        service, version = release.service, release.version
        if self._plane.instances(service, version):
            raise ConfigurationError(f"{service} runs {version} already: give the new version another name")
        if any(rules.split is not None for rules in self._plane.rules(service).methods.values()):
            raise ConfigurationError(f"the mesh's policy splits the calls of {service}: take `split` out of it first")

    async def start(self, release: CanaryRelease) -> None:
        """Has instances started. Before that they are no part of the baseline, so that none gets calls by accident."""
        current = self._plane.rules(release.service).canary
        if current is None or current.version != release.version:
            await self._split(release, CanarySplit(release.version))
        async with self._versions() as versions:
            await versions.StartVersion(
                pb.StartVersionRequest(
                    service=release.service,
                    version=release.version,
                    instances=release.instances,
                    run=release.run or "",
                    settings=release.settings,
                ),
                timeout=ANSWERED_WITHIN,
            )

    async def readiness(self, release: CanaryRelease) -> VersionReadiness:
        """Counts the instances that run and are registered."""
        async with self._versions() as versions:
            request = pb.GetVersionRequest(service=release.service, version=release.version)
            found = await versions.GetVersion(request, timeout=ANSWERED_WITHIN)
        known = self._plane.instances(release.service, release.version)
        return VersionReadiness(min(found.ready, known), found.failed)

    async def route(self, release: CanaryRelease, share: CanaryShare) -> None:
        """Gives the version its share, or copies, and its testers."""
        if rejected := await self._split(release, _split_of(release, share)):
            raise ShareRejected("; ".join(rejected))

    def restore(self, release: CanaryRelease, share: CanaryShare) -> None:
        """Has the routes of sidecars that come back be those that they have."""
        self._plane.split(release.service, _split_of(release, share))

    async def adopt(self, release: CanaryRelease) -> None:
        """Has the service's own processes replaced while the version takes all calls, and ends the split then.

        The version is started once more: in a fleet that was stopped meanwhile it does not run any more.
        """
        await self._split(release, CanarySplit(release.version, 100.0))
        await self.start(release)
        async with self._versions() as versions:
            await versions.AdoptVersion(
                pb.AdoptVersionRequest(service=release.service, version=release.version), timeout=ADOPTED_WITHIN
            )
        await self._split(release, None)
        await self._stop(release)

    async def remove(self, release: CanaryRelease) -> None:
        """Takes all calls from the version, stops it, and ends the split when no instance of it is registered."""
        await self._split(release, CanarySplit(release.version, takes_calls=False))
        await self._stop(release)
        for _ in range(round(GONE_WITHIN / _POLL)):
            if self._is_gone(release):
                break
            await asyncio.sleep(_POLL)
        else:
            raise ConfigurationError(f"instances of {release.service} {release.version} are still registered")
        await self._split(release, None)

    def _is_gone(self, release: CanaryRelease) -> bool:
        known = release.service not in self._plane.unknown
        return known and not self._plane.instances(release.service, release.version)

    async def _split(self, release: CanaryRelease, canary: CanarySplit | None) -> list[str]:
        """Returns what sidecars have rejected of it, a line each, when the others have taken it.

        What follows, such as the end of a version, counts on that.
        """
        changed = self._plane.split(release.service, canary)
        await self._plane.reconnected()
        await self._plane.settled(TAKEN_WITHIN)
        return [
            f"the sidecar of {one.node} rejected its routes ({one.name}): {rejection.error}"
            for one, rejection in self._plane.server.rejected(changed)
        ]

    async def _stop(self, release: CanaryRelease) -> None:
        async with self._versions() as versions:
            await versions.StopVersion(
                pb.StopVersionRequest(service=release.service, version=release.version), timeout=STOPPED_WITHIN
            )

    @asynccontextmanager
    async def _versions(self) -> "AsyncIterator[versions_pb2_grpc.VersionsAsyncStub]":
        async with operating_on(self._data) as channel:
            yield versions_pb2_grpc.VersionsStub(channel)


def _split_of(release: CanaryRelease, share: CanaryShare) -> CanarySplit:
    percent = 0.0 if share.mirrored else share.percent
    return CanarySplit(release.version, percent, _testers(release), share.mirrored)


def _testers(release: CanaryRelease) -> tuple[tuple[str, str], ...]:
    header = () if release.header is None else ((release.header[0].lower(), release.header[1]),)
    return (*header, *(() if release.user is None else ((SUBJECT, release.user),)))
