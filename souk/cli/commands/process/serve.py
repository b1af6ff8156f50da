"""`souk serve`: runs one service, or the gateway, as its own process."""

import asyncio
import json
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import click

from souk.admin.process_status import MESH
from souk.cli.group import example
from souk.cli.output.terminal import print_line, start_logging
from souk.gateway.settings import GATEWAY_SERVICE
from souk.hosting.event_routing import subscriptions_of
from souk.kernel.clock import SystemClock
from souk.runtime.config import entry_points
from souk.runtime.config.environment import from_environment, inherited
from souk.runtime.config.settings import ListenSettings, Settings
from souk.runtime.config.texts import help_of
from souk.runtime.process.signals import StopSignals, run


@click.command(
    epilog=example(
        """
souk serve inventory
SOUK_ADDRESSES=inventory=unix:/path/to/socket,... souk serve order
SOUK_ADDRESSES=order=unix:/path/to/socket,... souk serve gateway --port 8080
"""
    )
)
@click.argument("service")
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    help="The TCP port to listen on; without it, a socket in the data directory.",
)
@click.option("--data", type=click.Path(path_type=Path), help=help_of("data"))
@click.option("--routes", type=click.Path(path_type=Path), help=help_of("routes"))
@click.option("--demo/--no-demo", default=None, help=help_of("demo"))
@click.option(
    "--metrics-port",
    type=click.IntRange(0, 65_535),
    help=help_of("metrics_port"),
)
@click.option("--json", "as_json", is_flag=True, help="Prints the address as one line of JSON.")
def serve(service: str, as_json: bool, **flags: Any) -> None:
    """Runs SERVICE as its own process until SIGTERM or Ctrl-C.

    Prints one line, `ready SERVICE ADDRESS`, once it accepts calls. A service listens on a socket in the data
    directory, unix:PATH, or at a TCP port where --port or SOUK_HOST asks for one; the gateway always listens on a port.
    SERVICE is an installed service, `gateway`, or `mesh`, which is the control plane of a mesh. SOUK_ADDRESSES or
    SOUK_REGISTRY says where other services listen. Installed services receive its events; SOUK_SUBSCRIPTIONS names the
    others, as in
    notification/mails=shop.order.v1.OrderConfirmed+shop.order.v1.OrderRejected,...
    """
    settings = from_environment(flags, defaults=Settings(listen=ListenSettings(port=0)))
    start_logging(settings.log)

    async def life(is_up: asyncio.Event, stop: StopSignals) -> None:
        async with _part(service, settings, stop) as address:
            is_up.set()
            ready = {"ready": service, "address": address}
            print_line(json.dumps(ready) if as_json else f"ready {service} {address}")
            await stop.wait()

    run(life)


def _part(name: str, settings: Settings, stop: StopSignals) -> AbstractAsyncContextManager[str]:
    clock = SystemClock()
    if name == GATEWAY_SERVICE:
        from souk.hosting.gateway.process import gateway_process  # a service's process does without it

        return gateway_process(entry_points.app(settings.app), settings, clock, stop.on_hangup)
    if name == MESH:
        from souk.hosting.control_plane_process import control_plane_process

        return control_plane_process(entry_points.app(settings.app), settings, clock, inherited())
    from souk.hosting.service_process import service_process

    subscriptions = subscriptions_of(entry_points.loadable_services(), settings.calls.discovery.subscriptions)
    service = entry_points.service(name, GATEWAY_SERVICE, MESH)
    return service_process(service, subscriptions, settings, clock, entry_points.app_with(name, settings.app))
