"""An upstream whose instances come from discovery."""

from typing import Any

from souk.discovery.directory import Directory
from souk.discovery.registry import Instance
from souk.discovery.static import StaticRegistry
from souk.gateway.proxy.pool import HTTP
from souk.gateway.proxy.upstream import Upstream
from tests.gateway.proxy.conftest import Proxy


async def test_the_instances_of_a_service_are_asked(world: Any, serve: Any, proxy: Proxy) -> None:
    servers = [await serve() for _ in range(2)]
    registry = StaticRegistry({"shop": [one.url.removeprefix("http://") for one in servers]})
    directory = Directory(registry, world.clock)
    proxy.upstream = Upstream("shop", world.clock).discovered(directory, "shop")
    await directory.known("shop", 30.0)
    for _ in range(40):
        assert (await proxy.ask("GET /up/x HTTP/1.1"))[0] == 200
    assert min(len(one.requests) for one in servers) > 5
    await proxy.upstream.close()
    await directory.close()
    await registry.close()


class Changing:
    """A directory whose instances a test changes."""

    def __init__(self) -> None:
        self.listeners: list[Any] = []

    def instances(self, service: str) -> tuple[Instance, ...]:
        return ()

    def on_change(self, service: str, callback: Any) -> Any:
        self.listeners.append(callback)


async def test_instances_come_and_go(world: Any, serve: Any, proxy: Proxy) -> None:
    first, second = await serve(), await serve()
    directory: Any = Changing()
    proxy.upstream = Upstream("shop", world.clock).discovered(directory, "shop")
    assert (await proxy.ask("GET /up/x HTTP/1.1"))[0] == 503
    for server in (first, second):
        # It takes calls at one port, and HTTP at another.
        found = Instance("shop", "shop-1", "127.0.0.1:1", metadata={HTTP: str(server.port)})
        directory.listeners[0]((found,))
        assert (await proxy.ask("GET /up/x HTTP/1.1"))[0] == 200
    assert (len(first.requests), len(second.requests)) == (1, 1)
    directory.listeners[0](())
    assert (await proxy.ask("GET /up/x HTTP/1.1"))[0] == 503
    await proxy.upstream.close()
