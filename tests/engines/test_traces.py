"""One order as Jaeger and Zipkin show it by their own query APIs: every edge of it, in one process and in a fleet.

In the fleet a broker is between Order and its consumers.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from souk.testing.servers.jaeger import JaegerServer
from souk.testing.servers.zipkin import ZipkinServer
from souk.testing.system import MODES, System
from tests.market.shop import Shop

pytestmark = pytest.mark.engines

PATIENCE = 120.0
ORDERS = "POST /api/v1/orders"
PLACE = "shop.order.v1.OrderService/PlaceOrder"
CONFIRMED = "shop.order.v1.OrderConfirmed"


@dataclass(frozen=True)
class Shown:
    """A span as a tool shows it."""

    service: str
    kind: str
    name: str
    id: str
    parent: str
    attributes: tuple[tuple[str, str], ...]

    @property
    def text(self) -> str:
        return f"{self.service} {self.kind} {self.name}"


def call(caller: str, callee: str, method: str, above: str) -> dict[str, str]:
    """The two edges of a call between services."""
    client = f"{caller} CLIENT {method}"
    return {client: above, f"{callee} SERVER {method}": client}


ORDERED = f"order SERVER {PLACE}"
SAGA = "order INTERNAL saga place-order"
EDGES = {
    f"gateway SERVER {ORDERS}": "",
    **call("gateway", "order", PLACE, f"gateway SERVER {ORDERS}"),
    **call("order", "product", "shop.product.v1.ProductService/BatchGetProducts", ORDERED),
    **call("order", "user", "shop.user.v1.UserService/GetAddress", ORDERED),
    **call("order", "payment", "shop.payment.v1.PaymentService/ResolveMethod", ORDERED),
    SAGA: ORDERED,
    "order INTERNAL step reserve stock": SAGA,
    **call("order", "inventory", "shop.inventory.v1.InventoryService/Reserve", "order INTERNAL step reserve stock"),
    "order INTERNAL step charge payment": SAGA,
    **call("order", "payment", "shop.payment.v1.PaymentService/Charge", "order INTERNAL step charge payment"),
    "payment CLIENT bank charge": "payment SERVER shop.payment.v1.PaymentService/Charge",
    "order INTERNAL step commit stock": SAGA,
    **call(
        *("order", "inventory", "shop.inventory.v1.InventoryService/CommitReservation"),
        "order INTERNAL step commit stock",
    ),
    f"order PRODUCER create {CONFIRMED}": SAGA,
    f"notification CONSUMER process {CONFIRMED}": f"order PRODUCER create {CONFIRMED}",
    **call(
        *("notification", "user", "shop.user.v1.UserService/GetContact"),
        f"notification CONSUMER process {CONFIRMED}",
    ),
}
"""The parent of each span of an order, by "service KIND name"."""


@pytest.fixture(scope="module")
def jaeger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JaegerServer]:
    with JaegerServer(tmp_path_factory.mktemp("jaeger")) as server:
        yield server


@pytest.fixture(scope="module")
def zipkin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ZipkinServer]:
    with ZipkinServer(tmp_path_factory.mktemp("zipkin")) as server:
        yield server


@pytest.mark.parametrize("mode", ["embedded", "fleet"])
async def test_an_order_is_one_trace(mode: str, jaeger: JaegerServer, zipkin: ZipkinServer, tmp_path: Path) -> None:
    await jaeger.start()
    await zipkin.start()
    settings = {
        "OTEL_TRACES_EXPORTER": "otlp,zipkin",
        "OTEL_EXPORTER_OTLP_ENDPOINT": jaeger.otlp_http,
        "OTEL_EXPORTER_ZIPKIN_ENDPOINT": zipkin.spans,
        "OTEL_BSP_SCHEDULE_DELAY": "200",
    }
    with MODES[mode](tmp_path, settings=settings) as system:
        trace_id = placed(system)
        for tool in (lambda: by_jaeger(jaeger, trace_id), lambda: by_zipkin(zipkin, trace_id)):
            spans = awaited(tool)
            shown = {one.id: one.text for one in spans}
            found = {(one.text, shown.get(one.parent, one.parent)) for one in spans}
            assert {edge for edge in EDGES.items() if edge not in found} == set(), sorted(found)
            attributes = {one.text: dict(one.attributes) for one in spans}
            assert attributes[f"gateway SERVER {ORDERS}"]["http.response.status_code"] == "201"
            assert attributes[ORDERED]["rpc.response.status_code"] == "OK"
            assert attributes["order INTERNAL step charge payment"]["souk.saga.outcome"] == "done"
            consumed = attributes[f"notification CONSUMER process {CONFIRMED}"]
            produced = attributes[f"order PRODUCER create {CONFIRMED}"]
            assert consumed["messaging.message.id"] == produced["messaging.message.id"] != ""


def placed(system: System) -> str:
    """Places an order; returns the id of its trace."""
    shop = Shop(system.mode, system.url, system.data)
    buyer, product = shop.buyer(), shop.product()
    order = buyer.wish((product, 1, 1_200))
    answer = buyer.post("/api/v1/orders", json=order)
    assert answer.status_code == 201, answer.text
    shop.close()
    return answer.headers["traceparent"].split("-")[1]


def awaited(show) -> list[Shown]:
    """Asks a tool until it has every span of an order."""
    ends = time.monotonic() + PATIENCE
    while True:
        spans = show()
        if EDGES.keys() <= {one.text for one in spans}:
            return spans
        missing = EDGES.keys() - {one.text for one in spans}
        assert time.monotonic() < ends, f"{sorted(missing)} of {sorted(one.text for one in spans)}"
        time.sleep(0.2)


def by_jaeger(jaeger: JaegerServer, trace_id: str) -> list[Shown]:
    answer = httpx.get(f"{jaeger.query}/api/traces/{trace_id}", trust_env=False)
    if answer.status_code == 404:
        return []
    (trace,) = answer.raise_for_status().json()["data"]
    spans = []
    for one in trace["spans"]:
        tags = {tag["key"]: str(tag["value"]) for tag in one["tags"]}
        parents = [ref["spanID"] for ref in one["references"] if ref["refType"] == "CHILD_OF"]
        service = trace["processes"][one["processID"]]["serviceName"]
        kind = tags.get("span.kind", "internal").upper()
        spans.append(
            Shown(service, kind, one["operationName"], one["spanID"], "".join(parents[:1]), tuple(tags.items()))
        )
    return spans


def by_zipkin(zipkin: ZipkinServer, trace_id: str) -> list[Shown]:
    answer = httpx.get(f"{zipkin.query}/api/v2/trace/{trace_id}", trust_env=False)
    if answer.status_code == 404:
        return []
    names = {text.lower(): text for text in EDGES}
    spans = []
    for one in answer.raise_for_status().json():
        kind, service = one.get("kind", "INTERNAL"), one["localEndpoint"]["serviceName"]
        text = f"{service} {kind} {one['name']}".lower()  # Zipkin writes names in lower case
        name = names[text].split(" ", 2)[2] if text in names else one["name"]
        spans.append(Shown(service, kind, name, one["id"], one.get("parentId", ""), tuple(one.get("tags", {}).items())))
    return spans
