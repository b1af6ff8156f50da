"""What the gateway answers itself, what it records, and where limits sit."""

import io
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
import structlog
from prometheus_client import CollectorRegistry

from souk.gateway.app import Gateway
from souk.gateway.http.request import Request
from souk.gateway.log import RequestLog
from souk.gateway.settings import GatewaySettings
from souk.kernel.clock import SystemClock
from souk.kernel.errors import ConfigurationError
from souk.telemetry.logs import LogSettings, configure


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    configure(LogSettings(), stream)
    yield stream
    structlog.reset_defaults()


async def test_health_and_readiness(world: Any) -> None:
    assert (await world.send("GET", "/healthz")).json == {"status": "ok"}
    assert (await world.send("GET", "/readyz")).status == 200
    world.services.behaviours["not ready"] = object()
    response = await world.send("GET", "/readyz")
    assert (response.status, response.json["code"], response.headers["retry-after"]) == (503, "NOT_READY", "1")
    assert (await world.send("GET", "/healthz")).status == 200


async def test_readiness_in_full_names_what_it_depends_on_and_shows_no_details(world: Any) -> None:
    world.health.report("payment", "nobody at 10.0.0.7:9101")
    world.health.report("disk")
    response = await world.send("GET", "/readyz?verbose")
    assert (response.status, response.json["status"]) == (200, "ready")
    payment, disk = response.json["checks"]
    assert (payment["name"], payment["state"], disk["name"], disk["state"]) == ("payment", "failing", "disk", "ok")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", payment["since"])
    assert b"10.0.0.7" not in response.body
    world.services.behaviours["not ready"] = object()
    response = await world.send("GET", "/readyz?verbose")
    assert (response.status, response.json["status"]) == (503, "not ready")


async def test_metrics_know_routes_and_not_paths(world: Any) -> None:
    await world.send("GET", "/api/v1/products/P-1")
    await world.send("GET", "/api/v1/nothing/secret")
    await world.send("MADEUP", "/api/v1/nothing/secret")
    response = await world.send("GET", "/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert b'route="/api/v1/products/{id}",status="200"' in response.body
    assert not re.search(rb"secret|P-1\b|MADEUP", response.body)


async def test_looks_at_the_system_are_logged_only_when_they_fail(world: Any, log: io.StringIO) -> None:
    for path in ("/healthz", "/readyz", "/metrics"):
        await world.send("GET", path)
    world.services.behaviours["not ready"] = object()
    assert (await world.send("GET", "/readyz")).status == 503
    assert log.getvalue() == ""
    await world.send("GET", "/readyz/x")
    await world.send("POST", "/healthz")
    assert [json.loads(line)["status"] for line in log.getvalue().splitlines()] == [404, 405]


@pytest.mark.parametrize(
    ("route", "status", "level"),
    [
        ("/metrics", 200, "debug"),
        ("/readyz", 503, "debug"),
        ("/readyz", 500, "info"),
        ("/healthz", 503, "info"),
        ("/metrics", 500, "info"),
        ("/api/v1/products", 200, "info"),
    ],
)
def test_a_request_is_routine_only_if_nothing_is_wrong(route: str, status: int, level: str) -> None:
    stream = io.StringIO()
    configure(LogSettings("debug"), stream)
    scope = {"type": "http", "method": "GET", "path": route, "query_string": b"", "headers": []}
    request = Request(scope, receive, GatewaySettings())
    RequestLog(CollectorRegistry(), SystemClock()).finished(request, route, status, 0.1)
    structlog.reset_defaults()
    assert json.loads(stream.getvalue())["level"] == level


async def receive() -> dict[str, Any]:
    raise AssertionError("nobody reads the body")


async def test_the_document_is_served(world: Any) -> None:
    response = await world.send("GET", "/openapi.json")
    assert (response.status, response.json["openapi"]) == (200, "3.1.0")
    assert set(response.json["paths"]) >= {"/api/v1/orders", "/api/v1/stock/{productId}:adjust"}


class Page(HTMLParser):
    """Checks that every element that is opened is closed, and collects ids and links."""

    VOID = ("meta", "input")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        named = dict(attrs)
        self.ids += [str(named["id"])] if "id" in named else []
        self.links += [str(named["href"])] if "href" in named else []
        self.sources += [str(named["src"])] if "src" in named else []

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


async def test_the_page_is_whole_and_needs_nothing_else(world: Any) -> None:
    response = await world.send("GET", "/docs")
    page = Page()
    page.feed(response.body.decode())
    assert (page.open, page.sources) == ([], [])
    assert len(page.ids) == len(set(page.ids))
    assert all(link in ("/openapi.json", "/docs/events") or link[1:] in page.ids for link in page.links)
    assert {"OUT_OF_STOCK", "ROUTE_NOT_FOUND", "placeOrder"} <= set(page.ids)
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


async def test_the_events_are_served_as_a_document_and_as_a_page(world: Any) -> None:
    document = await world.send("GET", "/asyncapi.json")
    assert (document.status, document.json["asyncapi"]) == (200, "3.0.0")
    response = await world.send("GET", "/docs/events")
    page = Page()
    page.feed(response.body.decode())
    assert (page.open, page.sources) == ([], [])
    assert len(page.ids) == len(set(page.ids))
    assert all(link in ("/asyncapi.json", "/docs") or link[1:] in page.ids for link in page.links)
    assert set(document.json["components"]["messages"]) <= set(page.ids)
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


async def test_the_page_says_of_an_event_what_it_needs_and_who_hears_it(world: Any) -> None:
    page = (await world.send("GET", "/docs/events")).body.decode()
    event = page.partition('id="shop.payment.v1.PaymentRefunded"')[2].partition("</details>")[0]
    assert "<th>Key</th><td><code>order_id</code></td>" in event
    assert "<th>Needs</th><td>at least once, order per key</td>" in event
    assert "<th>May be heard by</th><td>notification, order</td>" in event
    assert "<th>Is heard by</th><td>order (refunds), notification (mails)</td>" in event


async def test_the_page_is_for_people(world: Any) -> None:
    page = (await world.send("GET", "/docs")).body.decode()
    assert "`" not in page.partition("<main>")[2].partition("</main>")[0]
    assert "<code>idempotencyKey</code>, the header <code>Idempotency-Key</code>" in page
    place = page.partition('id="placeOrder"')[2].partition("</details>")[0]
    assert "<span>Places an order: reserves stock, charges, confirms</span><i>user</i>" in place
    assert "<p>The same key is the same order. <small>Answered within 10 s.</small></p>" in place
    assert '<td>list of <a href="#OrderItemInput"><code>OrderItemInput</code></a></td><td>required</td>' in place
    assert "<td>string, 1 to 255 characters</td><td>required</td><td>Chosen by the client" in place
    assert '<code>OUT_OF_STOCK</code></a> with <a href="#OutOfStockProblem"><code>items</code></a>' in place
    assert '<th>422</th><td><a href="#IDEMPOTENCY_KEY_REUSED">' in place


async def test_a_request_is_one_line_without_secrets(world: Any, log: io.StringIO) -> None:
    token = world.token()
    trace = "0af7651916cd43dd8448eb211c80319c"
    body = {"email": "a@souk.test", "password": "top-secret"}
    await world.send("POST", "/api/v1/auth/token", body)
    await world.send(
        "GET",
        "/api/v1/orders?pageToken=hidden",
        token=token,
        headers=[("traceparent", f"00-{trace}-b7ad6b7169203331-01")],
    )
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    requests = [line for line in lines if line["event"] == "request"]
    assert len(requests) == 2
    last = requests[-1]
    assert (last["method"], last["path"], last["status"], last["caller"]) == ("GET", "/api/v1/orders", 200, "U-demo")
    assert last["trace_id"] == trace
    assert last["ms"] >= 0
    assert not re.search("top-secret|hidden|souk.test|" + re.escape(token), log.getvalue())


async def test_what_went_wrong_is_in_the_log(world: Any, log: io.StringIO) -> None:
    async def broken(*_: object, **__: object) -> Any:
        raise RuntimeError("only here")

    world.gateway.backend._stubs["/shop.product.v1.ProductService/GetProduct"] = broken
    response = await world.send("GET", "/api/v1/products/P-1")
    assert (response.status, b"only here" in response.body) == (500, False)
    assert "only here" in log.getvalue()


async def test_lifespan_and_websockets_are_answered(world: Any) -> None:
    said: list[str] = []
    events = iter(["lifespan.startup", "lifespan.shutdown"])

    async def receive() -> dict[str, str]:
        return {"type": next(events)}

    async def send(message: Any) -> None:
        said.append(message["type"])

    await world.gateway({"type": "lifespan"}, receive, send)
    await world.gateway({"type": "websocket"}, receive, send)
    assert said == ["lifespan.startup.complete", "lifespan.shutdown.complete", "websocket.close"]


async def test_an_issuer_that_no_service_is_fails_at_once(world: Any) -> None:
    class Nobody:
        issuer = audience = "x"
        keys_method = roles_method = "/shop.nobody.v1.Nobody/Keys"

    async def ready() -> bool:
        return True

    with pytest.raises(ConfigurationError, match="Nobody/Keys"):
        Gateway([], world.gateway.backend._channel_of, Nobody(), GatewaySettings(), world.clock, ready)


async def test_the_root_leads_a_browser_to_the_page_and_a_program_to_the_document(world: Any) -> None:
    browser = await world.send("GET", "/", headers=[("accept", "text/html,application/xhtml+xml,*/*;q=0.8")])
    assert (browser.status, browser.headers["location"], browser.headers["vary"]) == (303, "/docs", "accept")
    program = await world.send("GET", "/", headers=[("accept", "*/*")])
    assert (program.status, program.json) == (200, {"docs": "/docs", "openapi": "/openapi.json"})


async def test_every_code_s_place_says_what_it_means_and_what_to_do(world: Any) -> None:
    page = (await world.send("GET", "/docs")).body.decode()
    place = page.partition('<tr id="OUT_OF_STOCK">')[2].partition("</tr>")[0]
    assert "There is not enough stock" in place
    assert "with a new key" in place
