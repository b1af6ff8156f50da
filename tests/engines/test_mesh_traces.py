"""One order through a fleet with a mesh, as Jaeger and Zipkin show it: the spans of sidecars stand between those of the
applications."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from souk.testing.servers.jaeger import JaegerServer
from souk.testing.servers.zipkin import ZipkinServer
from souk.testing.system import fleet
from tests.engines.test_traces import ORDERS, PLACE, Shown, awaited, by_jaeger, by_zipkin, placed

pytestmark = pytest.mark.engines
CHARGE = "shop.payment.v1.PaymentService/Charge"


def way_to(spans: list[Shown], service: str, method: str) -> list[str]:
    """Gives the spans from the root to that of the application that took a call, each as "service KIND"."""
    by_id = {one.id: one for one in spans}
    (arrived,) = [one for one in spans if one.text == f"{service} SERVER {method}"]
    way = [arrived]
    while way[-1].parent in by_id:
        way.append(by_id[way[-1].parent])
    assert way[-1].name == ORDERS, [one.text for one in way]
    return [f"{one.service} {one.kind}" for one in reversed(way)]


def hop(caller: str, callee: str, end: str) -> list[str]:
    """Gives the spans of one call: the application's, two of its sidecar's, the callee's sidecar's, the callee's."""
    ends = (f"{caller}{end} SERVER", f"{caller}{end} CLIENT", f"{callee}{end} SERVER")
    return [f"{caller} CLIENT", *ends, f"{callee} SERVER"]


def check(show: Callable[[], list[Shown]], end: str) -> None:
    spans = awaited(
        show, {f"{service} SERVER {method}": "" for service, method in (("order", PLACE), ("payment", CHARGE))}
    )
    called = ["gateway SERVER", *hop("gateway", "order", end)]
    assert way_to(spans, "order", PLACE) == called
    charged = way_to(spans, "payment", CHARGE)
    assert charged[: len(called)] == called
    assert charged[-5:] == hop("order", "payment", end)


def exporting(**variables: str) -> Mapping[str, str]:
    return {**variables, "OTEL_BSP_SCHEDULE_DELAY": "200"}


@pytest.fixture
def jaeger(tmp_path: Path) -> Iterator[JaegerServer]:
    with JaegerServer(tmp_path / "jaeger") as server:
        yield server


@pytest.fixture
def zipkin(tmp_path: Path) -> Iterator[ZipkinServer]:
    with ZipkinServer(tmp_path / "zipkin") as server:
        yield server


async def test_jaeger_shows_sidecars_between_applications(jaeger: JaegerServer, tmp_path: Path) -> None:
    await jaeger.start()
    with fleet(
        tmp_path / "fleet", arguments=("--mesh",), settings=exporting(OTEL_EXPORTER_OTLP_ENDPOINT=jaeger.otlp_http)
    ) as system:
        trace = placed(system)
        check(lambda: settled(by_jaeger(jaeger, trace)), "-sidecar")


async def test_zipkin_shows_sidecars_between_applications(zipkin: ZipkinServer, tmp_path: Path) -> None:
    await zipkin.start()
    with fleet(
        tmp_path / "fleet", arguments=("--mesh",), settings=exporting(OTEL_EXPORTER_ZIPKIN_ENDPOINT=zipkin.spans)
    ) as system:
        trace = placed(system)
        names = {f"{service} {kind} {name}": "" for service, kind, name in NAMED}
        check(lambda: settled(by_zipkin(zipkin, trace, names)), "")


NAMED = (("gateway", "SERVER", ORDERS), ("order", "SERVER", PLACE), ("payment", "SERVER", CHARGE))


def settled(spans: list[Shown]) -> list[Shown]:
    """Gives spans once each but the root has its parent among them; sidecars send theirs within five seconds."""
    known = {one.id for one in spans}
    return spans if all(one.parent in known or one.name == ORDERS for one in spans) else []
