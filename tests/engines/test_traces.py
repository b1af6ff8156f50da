"""One order as Jaeger and Zipkin show it by their own query APIs: every edge of it, in one process and in a fleet.

Its event goes by calls, or through each of the brokers, and its mail to a real SMTP server.
"""

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

import httpx
import pytest

from souk.testing.servers.elasticmq import ElasticMqServer
from souk.testing.servers.jaeger import JaegerServer
from souk.testing.servers.kafka import KafkaServer
from souk.testing.servers.rabbitmq import RabbitMqServer
from souk.testing.servers.zipkin import ZipkinServer
from souk.testing.system import MODES, System
from tests.market.shop import Shop
from tests.marketplace.notification.mail_server import MailServer

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
CONSUMED = f"notification CONSUMER process {CONFIRMED}"
COUNTED = f"analytics CONSUMER process {CONFIRMED}"
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
    CONSUMED: f"order PRODUCER create {CONFIRMED}",
    **call("notification", "user", "shop.user.v1.UserService/GetContact", CONSUMED),
    "notification CLIENT smtp send": CONSUMED,
    COUNTED: f"order PRODUCER create {CONFIRMED}",
}
"""The parent of each span of an order, by "service KIND name"."""
ERASED = "shop.user.v1.UserDeleted"
ERASING = {
    f"user PRODUCER create {ERASED}": "user SERVER shop.user.v1.UserService/DeleteMe",
    f"order CONSUMER process {ERASED}": f"user PRODUCER create {ERASED}",
    f"payment CONSUMER process {ERASED}": f"user PRODUCER create {ERASED}",
}
"""The same of an account that is deleted, of which services with an inbox hear."""
LISTED = "product SERVER shop.product.v1.ProductService/ListProducts"
CACHED = {"product CLIENT GET": LISTED, "product CLIENT SET": LISTED, "product CLIENT read souk_product": LISTED}
"""The same of a list that no replica has in its cache, in a fleet."""
SYSTEMS = {"none": "souk", "redis": "redis", "kafka": "kafka", "rabbitmq": "rabbitmq", "sqs": "aws_sqs"}
"""What spans of events name, by what carries them."""


def transactions(mode: str) -> dict[str, str]:
    """The parent of a transaction of each service; some have others besides."""
    under = {
        "order": ORDERED,
        "inventory": "inventory SERVER shop.inventory.v1.InventoryService/Reserve",
        "payment": "payment SERVER shop.payment.v1.PaymentService/Charge",
        "analytics": COUNTED,
    }
    name = "souk_{}" if mode == "fleet" else "{}.db"
    return {f"{service} CLIENT transaction {name.format(service)}": above for service, above in under.items()}


@pytest.fixture(scope="module")
def jaeger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JaegerServer]:
    with JaegerServer(tmp_path_factory.mktemp("jaeger")) as server:
        yield server


@pytest.fixture(scope="module")
def zipkin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ZipkinServer]:
    with ZipkinServer(tmp_path_factory.mktemp("zipkin")) as server:
        yield server


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    with KafkaServer(tmp_path_factory.mktemp("kafka")) as server:
        yield server


@pytest.fixture(scope="module")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMqServer]:
    with RabbitMqServer(tmp_path_factory.mktemp("rabbitmq")) as server:
        yield server


@pytest.fixture(scope="module")
def elasticmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ElasticMqServer]:
    with ElasticMqServer(tmp_path_factory.mktemp("elasticmq")) as server:
        yield server


@contextmanager
def mail_server() -> Iterator[int]:
    """Serves SMTP in a thread; gives the port."""
    loop, server = asyncio.new_event_loop(), MailServer()
    thread = Thread(target=loop.run_forever)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(server.start(), loop).result(PATIENCE)
        yield server.port
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result(PATIENCE)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(PATIENCE)
        loop.close()


async def broker_of(name: str, request: pytest.FixtureRequest) -> Mapping[str, str]:
    """Starts a broker; gives the setting that names it. A fleet has a Valkey of its own."""
    if name == "kafka":
        kafka: KafkaServer = request.getfixturevalue("kafka")
        await kafka.start()
        return {"SOUK_BROKER": f"kafka://{kafka.address}"}
    if name == "rabbitmq":
        rabbitmq: RabbitMqServer = request.getfixturevalue("rabbitmq")
        await rabbitmq.start()
        return {"SOUK_BROKER": rabbitmq.url}
    if name == "sqs":
        elasticmq: ElasticMqServer = request.getfixturevalue("elasticmq")
        await elasticmq.start()
        return {"SOUK_BROKER": elasticmq.url.replace("http:", "sqs:")}
    return {}


@pytest.mark.parametrize(
    ("mode", "broker"),
    [("embedded", "none"), ("fleet", "redis"), ("embedded", "kafka"), ("embedded", "rabbitmq"), ("embedded", "sqs")],
)
async def test_an_order_is_one_trace(
    mode: str, broker: str, jaeger: JaegerServer, zipkin: ZipkinServer, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    await jaeger.start()
    await zipkin.start()
    edges = {**EDGES, **transactions(mode)}
    with mail_server() as port:
        settings = {**await broker_of(broker, request), "SOUK_NOTIFICATION_SMTP": f"smtp://127.0.0.1:{port}"}
        with MODES[mode](tmp_path, settings={**settings, **exporting(jaeger, zipkin)}) as system:
            trace_id = placed(system)
            for tool in (lambda: by_jaeger(jaeger, trace_id), lambda: by_zipkin(zipkin, trace_id, edges)):
                check(awaited(tool, edges), edges, mode, SYSTEMS[broker])
            check_inboxes(jaeger, deleted(system), SYSTEMS[broker])
            if mode == "fleet":
                check_cache(jaeger, system)


def exporting(jaeger: JaegerServer, zipkin: ZipkinServer) -> Mapping[str, str]:
    return {
        "OTEL_TRACES_EXPORTER": "otlp,zipkin",
        "OTEL_EXPORTER_OTLP_ENDPOINT": jaeger.otlp_http,
        "OTEL_EXPORTER_ZIPKIN_ENDPOINT": zipkin.spans,
        "OTEL_BSP_SCHEDULE_DELAY": "200",
    }


def check(spans: list[Shown], edges: Mapping[str, str], mode: str, system: str) -> None:
    check_edges(spans, edges)
    attributes = {one.text: dict(one.attributes) for one in spans}
    assert attributes[f"gateway SERVER {ORDERS}"]["http.response.status_code"] == "201"
    assert attributes[ORDERED]["rpc.response.status_code"] == "OK"
    carried = "connectrpc" if mode == "fleet" else "in_process"
    assert {attributes[f"{end} {PLACE}"]["rpc.system.name"] for end in ("gateway CLIENT", "order SERVER")} == {carried}
    assert attributes["order INTERNAL step charge payment"]["souk.saga.outcome"] == "done"
    consumed, counted = attributes[CONSUMED], attributes[COUNTED]
    produced = attributes[f"order PRODUCER create {CONFIRMED}"]
    assert consumed["messaging.message.id"] == counted["messaging.message.id"] == produced["messaging.message.id"] != ""
    assert (consumed["messaging.system"], counted["messaging.system"]) == (system, system)
    assert attributes["notification CLIENT smtp send"]["server.address"] == "127.0.0.1"
    engine = "postgresql" if mode == "fleet" else "sqlite"
    assert {attributes[one]["db.system.name"] for one in transactions(mode)} == {engine}


def check_edges(spans: list[Shown], edges: Mapping[str, str]) -> None:
    shown = {one.id: one.text for one in spans}
    found = {(one.text, shown.get(one.parent, one.parent)) for one in spans}
    assert {edge for edge in edges.items() if edge not in found} == set(), sorted(found)


def check_inboxes(jaeger: JaegerServer, trace_id: str, system: str) -> None:
    spans = awaited(lambda: by_jaeger(jaeger, trace_id), ERASING)
    check_edges(spans, ERASING)
    about = {one.text: dict(one.attributes) for one in spans}
    consumed = [about[text] for text in ERASING if "CONSUMER" in text]
    assert {(one["souk.inbox.decision"], one["messaging.system"]) for one in consumed} == {("first", system)}


def check_cache(jaeger: JaegerServer, system: System) -> None:
    answer = httpx.get(f"{system.url}/api/v1/products?pageSize=7", trust_env=False).raise_for_status()
    trace_id = answer.headers["traceparent"].split("-")[1]
    spans = awaited(lambda: by_jaeger(jaeger, trace_id), CACHED)
    check_edges(spans, CACHED)
    about = {one.text: dict(one.attributes) for one in spans}
    assert about["product CLIENT GET"]["db.system.name"] == "redis"
    assert about["product CLIENT GET"]["souk.cache.hit"].lower() == "false"


def deleted(system: System) -> str:
    """Deletes an account; returns the id of its trace."""
    shop = Shop(system.mode, system.url, system.data)
    buyer = shop.buyer()
    answer = buyer.request("DELETE", "/api/v1/users/me", json={"currentPassword": buyer.password})
    assert answer.status_code == 204, answer.text
    shop.close()
    return answer.headers["traceparent"].split("-")[1]


def placed(system: System) -> str:
    """Places an order; returns the id of its trace."""
    shop = Shop(system.mode, system.url, system.data)
    buyer, product = shop.buyer(), shop.product()
    order = buyer.wish((product, 1, 1_200))
    answer = buyer.post("/api/v1/orders", json=order)
    assert answer.status_code == 201, answer.text
    shop.close()
    return answer.headers["traceparent"].split("-")[1]


def awaited(show, edges: Mapping[str, str]) -> list[Shown]:
    """Asks a tool until it has every span of an order."""
    ends = time.monotonic() + PATIENCE
    while True:
        spans = show()
        if edges.keys() <= {one.text for one in spans}:
            return spans
        missing = edges.keys() - {one.text for one in spans}
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


def by_zipkin(zipkin: ZipkinServer, trace_id: str, edges: Mapping[str, str]) -> list[Shown]:
    answer = httpx.get(f"{zipkin.query}/api/v2/trace/{trace_id}", trust_env=False)
    if answer.status_code == 404:
        return []
    names = {text.lower(): text for text in edges}
    spans = []
    for one in answer.raise_for_status().json():
        kind, service = one.get("kind", "INTERNAL"), one["localEndpoint"]["serviceName"]
        text = f"{service} {kind} {one['name']}".lower()  # Zipkin writes names in lower case
        name = names[text].split(" ", 2)[2] if text in names else one["name"]
        spans.append(Shown(service, kind, name, one["id"], one.get("parentId", ""), tuple(one.get("tags", {}).items())))
    return spans
