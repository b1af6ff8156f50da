"""The servicer of a process's control socket: `soukapi.v1.Process`."""

import asyncio
import os
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.duration_pb2 import Duration
from prometheus_client import CollectorRegistry
from soukapi.v1 import fleet_pb2, fleet_pb2_grpc

from souk.admin.messages import MODES, breaker_status, health_check
from souk.admin.servicers import accounts, fault_points, parked_work, projections, records, sagas
from souk.admin.servicers.accounts import ProcessAccounts
from souk.admin.servicers.fault_points import ProcessFaultPoints
from souk.admin.servicers.parked_work import ProcessParkedWork
from souk.admin.servicers.projections import ProcessProjections
from souk.admin.servicers.records import ProcessRecords
from souk.admin.servicers.sagas import ProcessSagas
from souk.admin.servicers.telemetry import read_metrics, read_spans
from souk.admin.unix_socket import serving
from souk.faults import Faults
from souk.gateway.routing.live import LiveRoutes, count_rules
from souk.gateway.routing.model import RoutesFileRefused
from souk.kernel.clock import MICROSECONDS, Clock
from souk.kernel.errors import InvalidArgument, Violation
from souk.projections.rebuild import Rebuild
from souk.rpc.server.dispatcher import Context
from souk.runtime.calls.backlog import BrokerCount
from souk.runtime.calls.breaker_registry import Breakers
from souk.runtime.service import Account, Records
from souk.store.database import Database
from souk.telemetry.health import Health
from souk.telemetry.proc import resident_bytes
from souk.telemetry.tracing.ring import SpanRing
from souk.telemetry.traffic import Traffic

CONTRACT: ServiceDescriptor = fleet_pb2.DESCRIPTOR.services_by_name["Process"]


def _nothing() -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Inspected:
    """What operators can see of this process.

    `traffic` counts its requests, `health` has the checks of what it depends on. `away` gives the reason why the
    registry cannot be reached, or "". `metrics_address` is where its metrics are served over HTTP, "" for nowhere.
    `rebuilds` are those of the projections of its services, by their full names. `routes` is the routes file of a
    gateway that has one. `sagas` are the databases of its services that run sagas, `databases` those of all;
    `accounts` are what they count, `records` what they have recorded; `at_broker` gives what a broker has for them.
    `spans` are the newest ones, if they are kept, and `metrics` are its figures. `fault_points` of its services can be
    armed in `faults`; None: that is not allowed.
    """

    service: str
    instance: str
    breakers: Breakers
    traffic: Traffic
    clock: Clock
    health: Health
    version: str = ""
    zone: str = ""
    weight: int = 0
    away: Callable[[], str] = field(default=_nothing)
    metrics_address: str = ""
    rebuilds: Mapping[str, Rebuild] = field(default_factory=dict)
    routes: LiveRoutes | None = None
    sagas: Mapping[str, Database] = field(default_factory=dict)
    databases: Mapping[str, Database] = field(default_factory=dict)
    accounts: Mapping[str, Mapping[str, Account]] = field(default_factory=dict)
    records: Mapping[str, Records] = field(default_factory=dict)
    at_broker: Callable[[], Sequence[BrokerCount]] = tuple
    faults: Faults | None = None
    fault_points: Mapping[str, Sequence[str]] = field(default_factory=dict)
    spans: SpanRing | None = None
    metrics: CollectorRegistry = field(default_factory=CollectorRegistry)


def points_of(inspected: Inspected) -> ProcessFaultPoints:
    """Makes the servicer of a process's fault points."""
    return ProcessFaultPoints(inspected.instance, inspected.faults, inspected.fault_points, inspected.clock)


class ProcessControl(fleet_pb2_grpc.ProcessServicer):
    """Serves `soukapi.v1.Process`; `rate` gives the requests per second."""

    def __init__(self, inspected: Inspected, rate: Callable[[], float]) -> None:
        self._inspected = inspected
        self._rate = rate
        self._began = inspected.clock.monotonic()
        self._epoch = uuid4().hex

    async def GetStatus(self, request: fleet_pb2.GetStatusRequest, context: Context) -> fleet_pb2.GetStatusResponse:
        """Gives the status of this process: its requests, its memory, and the checks of its dependencies."""
        inspected = self._inspected
        return fleet_pb2.GetStatusResponse(
            service=inspected.service,
            instance=inspected.instance,
            version=inspected.version,
            zone=inspected.zone,
            weight=inspected.weight,
            pid=os.getpid(),
            uptime=_duration(inspected.clock.monotonic() - self._began),
            requests_served=inspected.traffic.served,
            requests_in_flight=inspected.traffic.running,
            requests_per_second=self._rate(),
            registry_away=inspected.away(),
            resident_bytes=resident_bytes(),
            metrics_address=inspected.metrics_address,
            checks=[health_check(check) for check in inspected.health.checks()],
        )

    async def ListBreakers(
        self, request: fleet_pb2.ListBreakersRequest, context: Context
    ) -> fleet_pb2.ListBreakersResponse:
        """Lists the breakers of this process."""
        inspected = self._inspected
        return fleet_pb2.ListBreakersResponse(
            breakers=[
                breaker_status(guard, inspected.instance, self._began, inspected.clock) for guard in inspected.breakers
            ]
        )

    async def SetBreaker(self, request: fleet_pb2.SetBreakerRequest, context: Context) -> fleet_pb2.SetBreakerResponse:
        """Sets breakers of this process; returns those that it has set."""
        inspected = self._inspected
        if request.mode not in MODES:
            raise InvalidArgument([Violation("mode", "must be given")])
        changed = inspected.breakers.set(MODES[request.mode], request.callee, request.caller)
        return fleet_pb2.SetBreakerResponse(
            breakers=[breaker_status(guard, inspected.instance, self._began, inspected.clock) for guard in changed]
        )

    async def ReloadRoutes(
        self, request: fleet_pb2.ReloadRoutesRequest, context: Context
    ) -> fleet_pb2.ReloadRoutesResponse:
        """Reads the routes file of this gateway again."""
        routes = self._inspected.routes
        if routes is None:
            return fleet_pb2.ReloadRoutesResponse()
        load = fleet_pb2.RoutesLoad(process=self._inspected.instance, file=str(routes.path))
        try:
            load.rules = count_rules(await routes.reload("an operator asks for it"))
        except RoutesFileRefused as refused:
            load.refused = str(refused)
        return fleet_pb2.ReloadRoutesResponse(loads=[load])

    async def ReadSpans(self, request: fleet_pb2.ReadSpansRequest, context: Context) -> fleet_pb2.ReadSpansResponse:
        """Gives spans that have ended; none if this process keeps none."""
        inspected = self._inspected
        return (
            fleet_pb2.ReadSpansResponse()
            if inspected.spans is None
            else read_spans(inspected.spans, request, inspected.clock)
        )

    async def ReadMetrics(
        self, request: fleet_pb2.ReadMetricsRequest, context: Context
    ) -> fleet_pb2.ReadMetricsResponse:
        """Gives the figures of this process."""
        inspected = self._inspected
        return fleet_pb2.ReadMetricsResponse(
            at=inspected.clock.now(), epoch=self._epoch, families=read_metrics(inspected.metrics)
        )


def _duration(seconds: float) -> Duration:
    found = Duration()
    found.FromMicroseconds(round(seconds * MICROSECONDS))
    return found


@asynccontextmanager
async def inspecting(inspected: Inspected) -> AsyncIterator[ProcessControl]:
    """Gives a servicer, whose request rate is measured inside the block."""
    rate = RequestRate(inspected.traffic, inspected.clock)
    sampling = asyncio.create_task(rate.run(), name="request rate")
    try:
        yield ProcessControl(inspected, rate)
    finally:
        sampling.cancel()
        with suppress(asyncio.CancelledError):
            await sampling


@asynccontextmanager
async def controlling(path: Path | None, inspected: Inspected) -> AsyncIterator[None]:
    """Serves on the private socket `path` inside the block; without a path it serves nothing.

    Raises ConfigurationError, in one line, when the socket cannot be made.
    """
    async with AsyncExitStack() as stack:
        if path is not None:
            control = await stack.enter_async_context(inspecting(inspected))
            servicers = {
                CONTRACT: control,
                projections.CONTRACT: ProcessProjections(inspected.rebuilds, inspected.clock),
                sagas.CONTRACT: ProcessSagas(inspected.sagas),
                parked_work.CONTRACT: ProcessParkedWork(inspected.databases, inspected.at_broker),
                accounts.CONTRACT: ProcessAccounts(inspected.databases, inspected.accounts),
                records.CONTRACT: ProcessRecords(inspected.databases, inspected.records),
                fault_points.CONTRACT: points_of(inspected),
            }
            await stack.enter_async_context(serving(path, servicers, inspected.clock))
        yield


EVERY = 1.0
KEPT = 6
"""Samples that are kept: the rate is measured from the oldest sample until now."""


class RequestRate:
    """Measures requests per second, from samples that `run` takes every EVERY seconds."""

    def __init__(self, traffic: Traffic, clock: Clock) -> None:
        self._traffic, self._clock = traffic, clock
        self._samples: deque[tuple[float, int]] = deque(maxlen=KEPT)
        self.sample()

    def sample(self) -> None:
        """Remembers how many requests were served so far."""
        self._samples.append((self._clock.monotonic(), self._traffic.served))

    def __call__(self) -> float:
        """Gives the present rate, in requests per second."""
        then, served = self._samples[0]
        passed = self._clock.monotonic() - then
        return (self._traffic.served - served) / passed if passed > 0 else 0.0

    async def run(self) -> None:
        """Samples until it is cancelled."""
        while True:
            await asyncio.sleep(EVERY)
            self.sample()
