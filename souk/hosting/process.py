"""One part of the system as a process of its own: a service on gRPC, or the gateway: `souk serve`.

A service is put together by the same code as in a system of one process; only how it reaches others
differs, and that it is reached from outside.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from souk.hosting.calls import open_calls
from souk.hosting.data_directory import installation_secret, make
from souk.hosting.front import Readiness, gateway
from souk.hosting.hosted import Heard
from souk.hosting.monolith import assembled
from souk.hosting.service import App, Service
from souk.hosting.settings import LOOPBACK, Settings
from souk.hosting.sockets import address_of, listen
from souk.hosting.web_server import serving
from souk.kernel.clock import Clock


@asynccontextmanager
async def service_process(service: Service, heard: Heard, settings: Settings, clock: Clock) -> AsyncIterator[str]:
    """Serves one service on loopback; gives its address, as host:port, once it takes calls."""
    async with AsyncExitStack() as stack:
        make(settings.data)
        process = await stack.enter_async_context(assembled((service,), heard, settings, clock))
        if settings.demo:
            await process.load_demo()
        yield await stack.enter_async_context(
            process.calls.listening(service.name, LOOPBACK, settings.port, settings.drain)
        )


@asynccontextmanager
async def gateway_process(app: App, settings: Settings, clock: Clock) -> AsyncIterator[str]:
    """Serves the gateway alone, before services in other processes; gives its address, as host:port."""
    async with AsyncExitStack() as stack:
        listener = stack.enter_context(listen(settings.bind, settings.port))
        secret = installation_secret(make(settings.data)) if settings.secret is None else settings.secret.encode()
        calls = await stack.enter_async_context(open_calls(secret, (), settings.addresses, clock))
        readiness = Readiness()
        application = gateway(app, calls, clock, readiness)
        await stack.enter_async_context(serving(application, listener, settings.drain))
        stack.enter_context(readiness.on())
        yield address_of(listener)
