"""Puts the console together: the platform's pages and an app's own, behind the gateway's identity."""

from collections.abc import Callable, Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable

from souk.console.app import ASSETS, ConsoleApp
from souk.console.assets import Assets
from souk.console.control import ControlSocket
from souk.console.live import LivePages
from souk.console.operators import Operators
from souk.console.page import ConsolePage
from souk.console.pages.breakers import breakers_page
from souk.console.pages.canaries import canaries_page
from souk.console.pages.events import events_page
from souk.console.pages.faults import faults_page
from souk.console.pages.invariants import invariants_page
from souk.console.pages.map import map_page
from souk.console.pages.parked.event import event_page
from souk.console.pages.parked.items import parked_page
from souk.console.pages.registry import registry_page
from souk.console.pages.sagas.run import saga_page
from souk.console.pages.sagas.runs import sagas_page
from souk.console.pages.subject.page import subject_page
from souk.console.pages.telemetry.calls import Promises, edge_figures
from souk.console.pages.telemetry.engine_use import engine_use
from souk.console.pages.telemetry.pages import source_of, telemetry_pages
from souk.console.pages.telemetry.source import TelemetrySource
from souk.console.rendering import Templates
from souk.console.telemetry.gathering.opening import Telemetry
from souk.descriptors.contract import contract_of
from souk.gateway.app import Gateway
from souk.gateway.settings import CONSOLE_PATH
from souk.kernel.clock import Clock
from souk.runtime.service import App, Invariant

PACKAGE = "souk.console"


def mount_console(
    gateway: Gateway,
    control: ControlSocket,
    telemetry: Telemetry,
    app: App,
    secret: bytes,
    clock: Clock,
    serves: Callable[[], bool] = lambda: True,
) -> None:
    """Mounts the console of an app at the gateway: for its operators, with forms that `secret` proves to be ours.

    `serves` tells whether the gateway takes requests; once it does not, streams to pages end.
    """
    assets = Assets(f"{CONSOLE_PATH}/{ASSETS}", *asset_folders())
    source, promises = source_of(telemetry), promises_of(app)
    emulated = {one.name: one.stands_for for one in app.emulators if one.stands_for}
    pages = [
        map_page(control, edge_figures(source, promises), engine_use(source), emulated),
        *platform_pages(control, app.invariants, source, login_service_of(app)),
        *(subject_page(control, source, subject) for subject in app.subjects),
        *telemetry_pages(control, source, promises),
    ]
    operators = Operators(gateway.identity, gateway.sessions, app.token_issuer.operator_role, secret, clock)
    templates = Templates(app.name.capitalize(), assets, pages, [PACKAGE], app.subjects)
    live = LivePages(operators, clock, serves)
    gateway.mounts.add(CONSOLE_PATH, ConsoleApp(pages, operators, templates, assets, clock, live).handle)


def asset_folders() -> Sequence[Traversable]:
    """Gives the folders of what is served beside pages: ours, those of others, and what the API's page has, too."""
    static = files(PACKAGE) / "static"
    return static, static / "vendor", files("souk.gateway") / "assets" / "shared"


def promises_of(app: App) -> Promises:
    """Gives the time-out of every method of an app's services, as their contracts say."""
    methods = [method for service in app.services for method in contract_of(service.contract).methods.values()]
    return {(method.service, method.name): method.policy.timeout for method in methods}


def login_service_of(app: App) -> str:
    """Returns the service that is asked which roles a user has; empty if the app has none that is."""
    method = app.token_issuer.roles_method
    return next((one.name for one in app.services if method in contract_of(one.contract).methods), "")


def platform_pages(
    control: ControlSocket,
    invariants: Sequence[Invariant] = (),
    source: TelemetrySource | None = None,
    login_service: str = "",
) -> Sequence[ConsolePage]:
    """Makes the pages that every system has, beside those of what was gathered."""
    return [
        registry_page(control),
        breakers_page(control, source, login_service),
        canaries_page(control),
        invariants_page(control, invariants),
        sagas_page(control),
        saga_page(control),
        parked_page(control),
        event_page(control),
        events_page(control),
        faults_page(control),
    ]
