"""Runs one service as a process of its own: `souk serve SERVICE`.

A service is assembled by the same code as in a system of one process; it differs only in that it calls services in
other processes, and takes calls from them.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

from souk.admin.servicers.process import controlling
from souk.hosting.assembly import assembled
from souk.hosting.event_routing import Subscriptions
from souk.hosting.inspected_process import inspected_process
from souk.kernel.clock import Clock
from souk.runtime.calls.registration import present
from souk.runtime.calls.service_address import service_address
from souk.runtime.checks import ANYBODY, reachable
from souk.runtime.config.settings import Settings
from souk.runtime.data import manifest
from souk.runtime.data.directory import make_closed
from souk.runtime.process.ops_http import Readiness, scraped
from souk.runtime.service import App, Service


@asynccontextmanager
async def service_process(
    service: Service, subscriptions: Subscriptions, settings: Settings, clock: Clock, app: App | None = None
) -> AsyncIterator[str]:
    """Serves one service at the address that its settings give.

    Gives that address, unix:PATH or host:port, once the service takes calls. `app` is the app that the service
    belongs to, if that is known.
    """
    data, about = settings.data, settings.calls.discovery
    callees = ANYBODY if app is None else reachable(app.services, about)
    async with AsyncExitStack() as stack:
        make_closed(data.directory)
        manifest.require_fit(data.directory, manifest.FILES if data.postgres is None else manifest.ON_A_SERVER)
        process = await stack.enter_async_context(assembled((service,), subscriptions, settings, clock, callees))
        if settings.demo:
            await process.load_demo()
        calls = process.calls
        readiness = Readiness(calls.health)
        metrics = await stack.enter_async_context(
            scraped(
                settings.process.metrics_port,
                calls.registry,
                readiness,
                settings.http.limits,
                settings.process.metrics_host,
            )
        )
        traffic = calls.traffic(service.name)
        inspected = inspected_process(service.name, calls, traffic, about, clock, metrics)
        inspected = replace(inspected, rebuilds=process.rebuilds, sagas=process.saga_databases)
        inspected = replace(inspected, databases=process.databases, accounts=process.accounts)
        inspected = replace(inspected, records=process.records, fault_points=process.fault_points)
        inspected = replace(inspected, at_broker=process.backlog.at_broker)
        inspected = replace(inspected, faults=process.faults if settings.demo else None)
        await stack.enter_async_context(controlling(settings.process.control, inspected))
        where = service_address(inspected.instance, data.directory, settings.listen, settings.calls)
        here = await stack.enter_async_context(
            calls.listening(service.name, stack.enter_context(where), settings.process.drain)
        )
        await stack.enter_async_context(
            present(calls.discovery, service.name, inspected.instance, here.address, about, here.speaks, traffic)
        )
        stack.enter_context(readiness.on())
        yield here.address
