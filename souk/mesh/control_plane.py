"""The control plane: it watches the registry, renews certificates, and gives each sidecar what it is to have.

A sidecar keeps what it has while the control plane is away, and gets what has changed when it is back. What it has of a
service's instances it keeps until the registry has answered about that service.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import grpc

from souk.discovery.directory import Directory
from souk.discovery.registry import Instance, is_address, is_name
from souk.gateway.routing.announcement import ADOPTED, adopted_instances
from souk.gateway.settings import GATEWAY_SERVICE
from souk.kernel.clock import Clock
from souk.kernel.errors import ConfigurationError
from souk.mesh.configuration import MeshConfiguration, SidecarAddresses
from souk.mesh.envoy.trace_variables import SpanReceiver
from souk.mesh.exchanges import ExchangeHistory
from souk.mesh.identity.authority import CertificateAuthority
from souk.mesh.identity.refusals import DeniedNames
from souk.mesh.identity.report import IdentityReport, identity_report
from souk.mesh.identity.spiffe import Workload, instance_name, service_id
from souk.mesh.identity.workload_certificates import WorkloadCertificates
from souk.mesh.policy.policy import CanarySplit, MeshPolicy, ServiceRules
from souk.mesh.policy.who_may_call import WhoMayCall
from souk.mesh.workloads import is_workload_token
from souk.mesh.xds.exchange import DeltaNode, SidecarRefused
from souk.mesh.xds.server import AdsServer
from souk.mesh.xds.snapshot import PublishedVersion
from souk.runtime.calls.registration import APPLICATION
from souk.runtime.process.background import supervised
from souk.runtime.service import Service
from souk.telemetry.logs import logger

RENEWED_EVERY = 2.0
"""Seconds between two looks at what certificates are due, at most."""
TOGETHER = 0.05
"""Seconds after a change of the registry in which further ones are gathered, to be published together."""
RECONNECTED_WITHIN = 3.0
"""Seconds in which the sidecars of a control plane that has ended find the next one: a pause of 2, and a try."""
FORGOTTEN_AFTER = 600.0
"""Seconds after which a sidecar that is not connected any more is forgotten, and its certificate not renewed."""

_log = logger("mesh")


@dataclass(slots=True)
class ConnectedSidecar:
    """A sidecar that has proved whose it is: its workload, its addresses, and when it was connected last."""

    workload: Workload
    at: SidecarAddresses
    since: float


@dataclass(frozen=True, slots=True)
class AppliedPolicy:
    """The policy in force: its number, which grows with each change, and since when, in microseconds since 1970."""

    revision: int
    rules: MeshPolicy
    since: int


class ControlPlane:
    """Serves the sidecars of the `services` of a system, of its gateways, and of applications that join it.

    `secret` is that of the installation, by which sidecars prove whose they are, and `spans` what takes their spans.
    """

    def __init__(
        self,
        services: tuple[Service, ...],
        policy: MeshPolicy,
        allowed: WhoMayCall,
        authority: CertificateAuthority,
        directory: Directory,
        secret: bytes,
        clock: Clock,
        spans: SpanReceiver | None = None,
    ) -> None:
        self.policy = AppliedPolicy(1, policy, clock.now())
        self.exchanges = ExchangeHistory(clock)
        self.server = AdsServer(self._authorise, self.exchanges)
        self._names = [service.name for service in services]
        self._configuration = MeshConfiguration(services, policy, allowed, authority.trust_domain, spans)
        self.authority, self.certificates = authority, WorkloadCertificates(authority)
        self._directory, self._secret, self._clock = directory, secret, clock
        self._adopted: dict[str, Callable[[], None]] = {}
        self._sidecars: dict[str, ConnectedSidecar] = {}
        self._due, self._renewing = asyncio.Event(), asyncio.Lock()
        self._news, self._changed = asyncio.Event(), set[str]()
        self._published = (authority.bundle, authority.denied)
        self._serving, self._serves_since = asyncio.Event(), 0.0

    @asynccontextmanager
    async def serving(self, socket: Path, further: Sequence[grpc.GenericRpcHandler] = ()) -> AsyncIterator[None]:
        """Serves sidecars at a unix socket inside the block, and there the methods of `further` handlers, too.

        Raises ConfigurationError when that cannot be.
        """
        for name in self._names:
            self._directory.on_change(name, self._noting(name))
            self._take_up(name, self._directory.instances(name))
        self._directory.on_change(ADOPTED, self._adopt)
        self._adopt(self._directory.instances(ADOPTED))
        await asyncio.to_thread(self.authority.advance)
        try:
            await self.server.start(socket, further)
            self._serves_since = self._clock.monotonic()
            self._serving.set()
            async with supervised(self._clock) as background:
                background.start("certificates", self._renew)
                background.start("changes", self._publish_changes)
                yield
        finally:
            await self.server.stop()

    def apply(self, policy: MeshPolicy) -> frozenset[PublishedVersion]:
        """Replaces the rules; every sidecar gets what differs, which is returned."""
        self.policy = AppliedPolicy(self.policy.revision + 1, policy, self._clock.now())
        self.exchanges.revision = self.policy.revision
        self._configuration.apply(policy)
        return self._publish(self._sidecars)

    @property
    def workloads(self) -> Mapping[str, Workload]:
        """The workloads whose sidecars have connected, and are not forgotten yet, by instance."""
        return {node: one.workload for node, one in self._sidecars.items()}

    @property
    def services(self) -> tuple[str, ...]:
        """The names of the services that have sidecars, the gateway included."""
        return (*self._names, GATEWAY_SERVICE, *self._adopted)

    @property
    def unknown(self) -> Sequence[str]:
        """The services of whose instances the registry has said nothing since this control plane's start."""
        return self._configuration.unknown()

    def identities(self) -> IdentityReport:
        """Makes the report of certificates, roots and refusals."""
        return identity_report(self.authority, self.certificates)

    async def refresh(self) -> None:
        """Renews what is due, and has sidecars told of it and of refusals, now."""
        async with self._renewing:
            self._forget_gone()
            self.certificates.want(one.workload for one in self._sidecars.values())
            changed = {one.instance for one in await asyncio.to_thread(self.certificates.renew)}
            published, self._published = self._published, (self.authority.bundle, self.authority.denied)
            if published[1] != self._published[1]:
                for name in (*self._names, *self._adopted):
                    self._take_up(name, self._directory.instances(name))
            self._publish([node for node in self._sidecars if published != self._published or node in changed])

    async def settled(self, patience: float) -> Sequence[str]:
        """Waits until the connected sidecars have all that they are to have, but for what they reject.

        Returns the instances of those that have not after `patience` seconds.
        """
        waits = {asyncio.create_task(self.server.settled(node)): node for node in self.server.connected}
        if not waits:
            return ()
        try:
            _, late = await asyncio.wait(waits, timeout=patience)
        finally:
            for wait in waits:
                wait.cancel()
        return sorted(waits[wait] for wait in late)

    async def reconnected(self) -> None:
        """Waits until this one serves, and sidecars that go on with what a former one gave them had time to find it."""
        await self._serving.wait()
        await asyncio.sleep(self._serves_since + RECONNECTED_WITHIN - self._clock.monotonic())

    def split(self, service: str, canary: CanarySplit | None) -> frozenset[PublishedVersion]:
        """Replaces the canary of a service, which none is at first; every sidecar gets what differs, which is returned.

        Where the rules themselves split the service's calls, the canary's counts until it ends.
        """
        self._configuration.split(service, canary)
        return self._publish(self._sidecars)

    def instances(self, service: str, version: str) -> int:
        """Counts the instances of a version of a service that sidecars can call."""
        return self._configuration.instances(service, version)

    def rules(self, service: str) -> ServiceRules:
        """Gives the rules of a service, with its canary."""
        return self._configuration.rules(service)

    def is_sidecar(self, service: str, instance: str, token: str) -> bool:
        """Tells whether a token proves whose sidecar it is; an application need not have joined yet."""
        return is_name(service) and is_workload_token(self._secret, service, instance, token)

    def _adopt(self, announced: Iterable[Instance]) -> None:
        """Takes note of the applications that have joined, and follows the instances of each."""
        names = {
            one.announcement.service for one in adopted_instances(announced)[0] if is_name(one.announcement.service)
        }
        names -= {*self._names, GATEWAY_SERVICE}
        self._changed |= {one for name in names ^ self._adopted.keys() for one in self._configuration.concerned(name)}
        for gone in self._adopted.keys() - names:
            self._adopted.pop(gone)()
        new = sorted(names - self._adopted.keys())
        self._configuration.adopt(frozenset(names))
        for name in new:
            self._adopted[name] = self._directory.on_change(name, self._noting(name))
            self._take_up(name, self._directory.instances(name))
        self._news.set()

    def _noting(self, name: str) -> Callable[[tuple[Instance, ...]], None]:
        def changed(instances: tuple[Instance, ...]) -> None:
            self._take_up(name, instances)
            self._changed |= self._configuration.concerned(name)
            self._news.set()

        return changed

    async def _publish_changes(self) -> None:
        """Publishes what the registry has changed: one change at once, and what follows it closely together."""
        while True:
            await self._news.wait()
            self._news.clear()
            self._publish([node for node, one in self._sidecars.items() if one.workload.service in self._changed])
            self._changed.clear()
            await asyncio.sleep(TOGETHER)

    def _take_up(self, name: str, instances: Iterable[Instance]) -> None:
        """Takes note of the instances of a service, without those that are refused: they get no calls either.

        While the registry has not answered, nothing is known of them: sidecars keep what they have.
        """
        if not self._directory.is_listed(name):
            return
        found, (_, names) = tuple(instances), self._published
        denied = {one.id for one in found if self._denies(names, one)}
        allowed = [one for one in found if one.id not in denied]
        if name in self._adopted:
            bare = [one.id for one in allowed if APPLICATION not in one.metadata]
            if bare:
                _log.warning("an application without a sidecar gets no requests: start it again", instances=bare)
            allowed = [one for one in allowed if APPLICATION in one.metadata]
        self._configuration.update(name, tuple(allowed), denied)

    def _denies(self, denied: DeniedNames, one: Instance) -> bool:
        domain = self.authority.trust_domain
        return service_id(domain, one.service) in denied.spiffe_ids or instance_name(domain, one.id) in denied.dns_names

    def _authorise(self, node: DeltaNode, token: str) -> bool:
        if not self.is_sidecar(node.cluster, node.id, token):
            return False
        workload, at = _described(node, token)
        self._sidecars[node.id] = ConnectedSidecar(workload, at, self._clock.monotonic())
        self._publish([node.id])
        self._due.set()
        return True

    def _publish(self, nodes: Iterable[str]) -> frozenset[PublishedVersion]:
        bundle, denied = self._published
        snapshots = {}
        for node in nodes:
            sidecar = self._sidecars[node]
            certificate = self.certificates.current(sidecar.workload)
            snapshots[node] = self._configuration.snapshot(sidecar.workload, sidecar.at, certificate, bundle, denied)
        return self.server.publish(snapshots)

    async def _renew(self) -> None:
        """Renews certificates as time goes by, and when a sidecar has come."""
        while True:
            self._due.clear()
            await self.refresh()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._due.wait(), min(RENEWED_EVERY, self.authority.lifetimes.checked_every))

    def _forget_gone(self) -> None:
        now = self._clock.monotonic()
        for node in self.server.connected & self._sidecars.keys():
            self._sidecars[node].since = now
        for node in [node for node, one in self._sidecars.items() if now - one.since > FORGOTTEN_AFTER]:
            self._configuration.forget(self._sidecars.pop(node).workload)
            self.server.forget(node)
            self.exchanges.forget(node)


def _described(node: DeltaNode, token: str) -> tuple[Workload, SidecarAddresses]:
    """Reads what a sidecar says of itself. Raises SidecarRefused for what no resource can be made of."""
    outbound, inbound, zone, own = (node.metadata.get(k, "") for k in ("outbound", "inbound", "zone", "application"))
    if not all(is_address(one) for one in (outbound, inbound or outbound, own or outbound)):
        raise SidecarRefused(f"{node.id} names an address that is none: one of {outbound!r}, {inbound!r}, {own!r}")
    try:
        return Workload(node.cluster, node.id), SidecarAddresses(outbound, inbound, zone, own, token)
    except ConfigurationError as error:
        raise SidecarRefused(str(error)) from None
