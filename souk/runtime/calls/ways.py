"""The way from a caller in this process to a service: a transport, and the layers around it.

A service of this process is called in process, any other at the instances that the registry knows; or, where this
process has a sidecar, through that, which does what the layers do otherwise.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from souk.descriptors.contract import Method
from souk.discovery.directory import Directory
from souk.kernel.clock import Clock
from souk.resilience.breaker.breaker import Breaker
from souk.resilience.retry import Retry
from souk.rpc.call import Layer
from souk.rpc.client.layer_stack import Guards, GuardsOf, sidecar_layers, standard_layers
from souk.rpc.discovered import CONNECT, DiscoveredTransport
from souk.rpc.sidecar import SidecarTransport
from souk.rpc.tls import MutualTls
from souk.rpc.transport import Transport
from souk.runtime.calls.breaker_registry import Breakers
from souk.runtime.calls.dependencies import is_there
from souk.runtime.calls.guard_metrics import GuardMetrics
from souk.runtime.calls.metrics import CallMetrics
from souk.runtime.config.resilience import Protection, read_resilience
from souk.runtime.config.settings import CallSettings
from souk.telemetry.health import Health
from souk.telemetry.tracing.calling import GRPC, IN_PROCESS
from souk.telemetry.tracing.tracer import Tracer


@dataclass(frozen=True, slots=True)
class CallMonitoring:
    """What a process knows of those that it calls: the instances that the registry names, the breakers around the
    calls, the probes of its health, and the metrics of calls and of what guards them."""

    directory: Directory
    breakers: Breakers
    health: Health
    metrics: CallMetrics
    guarding: GuardMetrics


class Ways:
    """The ways to services: to those `here`, in this process, and to all others as `settings` say.

    `discovered` are the transports to services of other processes, by name; it grows. `each_try` are layers around
    each try at an instance in another process.
    """

    def __init__(
        self,
        here: Mapping[str, Transport],
        settings: CallSettings,
        tls: MutualTls | None,
        clock: Clock,
        watched: CallMonitoring,
        each_try: Sequence[Layer] = (),
    ) -> None:
        self.discovered: dict[str, DiscoveredTransport] = {}
        self._sidecars: dict[str, SidecarTransport] = {}
        self._here, self._settings, self._tls, self._clock = here, settings, tls, clock
        self._watched, self._each_try = watched, each_try
        self._resilience = read_resilience(settings.resilience)

    @property
    def transports(self) -> Iterator[Transport]:
        """The transports to services of other processes, as far as there are any yet."""
        yield from self.discovered.values()
        yield from self._sidecars.values()

    def to(
        self, callee: str, caller: str, tracer: Tracer | None, *, traced: bool
    ) -> tuple[Transport, list[Layer], str]:
        """Gives the transport from a caller to a callee, the layers around it, and what carries the calls."""
        ended = self._watched.metrics.ended(caller, traced=traced)
        if callee not in self._here and (sidecar := self._settings.discovery.sidecar):
            transport = self._through(sidecar, callee)
            return transport, sidecar_layers(self._clock, ended=ended, tracer=tracer), GRPC
        protection, here = self._protection(callee), self._here.get(callee)
        retry = Retry(protection.retry, now=self._clock.monotonic())
        self._watched.guarding.retries[caller, callee] = retry
        guards = self._guards(protection, caller, callee)
        layers = partial(standard_layers, callee, self._clock, retry=retry, guards=guards, ended=ended, tracer=tracer)
        if here is not None:
            return here, layers(system=IN_PROCESS), IN_PROCESS
        there = self._there(callee)
        balancer = self._watched.guarding.balancers[caller, callee] = there.balancer(protection.new_balancer)
        return there, [there.found, *layers(balancer=balancer), *self._each_try], GRPC

    def watch(self, callee: str) -> None:
        """Watches a service of another process from now on, whether it is called or not."""
        if callee in self._here:
            return
        if sidecar := self._settings.discovery.sidecar:
            self._through(sidecar, callee)
        else:
            self._there(callee)

    def _guards(self, protection: Protection, caller: str, callee: str) -> GuardsOf:
        """A breaker for each method; a bulkhead for the service, and for each method that its contract isolates."""
        bulkheads = self._watched.guarding.bulkheads
        shared = bulkheads[caller, callee] = protection.bulkhead()

        def guards(method: Method) -> Guards:
            breaker = self._watched.breakers.add(caller, callee, Breaker(protection.breaker), method=method.name)
            name = f"{callee}/{method.name}"
            self._watched.metrics.watch(caller, name, breaker)
            if not method.policy.isolated:
                return Guards(shared, breaker)
            own = bulkheads[caller, name] = protection.bulkhead()
            return Guards(own, breaker)

        return guards

    def _protection(self, callee: str) -> Protection:
        """Gives the protection that the settings set for a callee, with this process's zone and instance."""
        protection, about = self._resilience.of(callee), self._settings.discovery
        balancer = replace(protection.balancer, zone=about.zone, name=about.instance or "")
        return replace(protection, balancer=balancer)

    def _there(self, name: str) -> DiscoveredTransport:
        if name not in self.discovered:
            self._watch(name)
            connect = self._settings.hop == CONNECT
            self.discovered[name] = DiscoveredTransport(
                name, self._watched.directory, self._clock, connect=connect, tls=self._tls
            )
        return self.discovered[name]

    def _through(self, sidecar: str, name: str) -> SidecarTransport:
        if name not in self._sidecars:
            self._watch(name)
            self._sidecars[name] = SidecarTransport(name, sidecar, self._clock)
        return self._sidecars[name]

    def _watch(self, name: str) -> None:
        watched = self._watched
        watched.health.watch(name, is_there(name, watched.directory, watched.breakers))
