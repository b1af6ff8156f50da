"""The span of a request says why it was refused before any service was asked, or by the service."""

from typing import Any

import pytest

from souk.kernel.errors import DomainError
from souk.testing.recorded_spans import RecordedSpans
from tests.gateway.limits.test_limited_answers import limit

ORDERS = "/api/v1/orders"
PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
STATE = "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"


@pytest.fixture
def spans(world: Any) -> RecordedSpans:
    found = RecordedSpans()
    world.gateway._tracer = found.tracer("gateway")
    return found


async def test_who_is_not_known(world: Any, spans: RecordedSpans) -> None:
    assert (await world.send("GET", f"{ORDERS}/ORD-1")).status == 401
    (span,) = spans.ended
    assert (span.attributes["souk.refusal"], span.attributes["souk.refusal.check"]) == (
        "UNAUTHENTICATED",
        "no credentials",
    )
    assert (span.error, span.attributes["http.response.status_code"]) == ("", 401)


async def test_what_is_not_valid(world: Any, spans: RecordedSpans) -> None:
    answer = await world.send("POST", ORDERS, {"what": "private"}, token=world.token())
    assert answer.status == 400
    (span,) = spans.ended
    assert span.attributes["souk.refusal"] == "INVALID_REQUEST"
    assert "private" not in str(span.attributes)


async def test_what_the_service_refuses(world: Any, spans: RecordedSpans) -> None:
    world.services.refuse("GetOrder", DomainError("ORDER_NOT_FOUND", "no such order"))
    assert (await world.send("GET", f"{ORDERS}/ORD-1", token=world.token())).status == 404
    assert spans.ended[-1].attributes["souk.refusal"] == "ORDER_NOT_FOUND"


async def test_which_limit_it_went_beyond(world: Any) -> None:
    limit(world)
    spans = RecordedSpans()
    world.gateway._tracer = spans.tracer("gateway")
    for _ in range(4):
        await world.send("GET", "/api/v1/products")
    refused = [(one.attributes.get("souk.refusal"), one.attributes.get("souk.refusal.limit")) for one in spans.ended]
    assert refused == [(None, None)] * 3 + [("RATE_LIMITED", "reads")]


async def test_what_is_answered_has_no_refusal(world: Any, spans: RecordedSpans) -> None:
    await world.send("GET", "/healthz")
    assert "souk.refusal" not in spans.ended[-1].attributes


@pytest.mark.parametrize(("given", "passed"), [(STATE, STATE), ("rojo", ""), ("a=1,a=1", "")])
async def test_what_other_systems_say_of_the_trace_reaches_the_service(
    world: Any, spans: RecordedSpans, given: str, passed: str
) -> None:
    headers = [("traceparent", PARENT), ("tracestate", given)]
    await world.send("GET", f"{ORDERS}/ORD-1", token=world.token(), headers=headers)
    assert world.services.last[2].tracestate == passed
    assert spans.ended[-1].tracestate == passed


async def test_several_lines_are_one_state(world: Any, spans: RecordedSpans) -> None:
    headers = [("traceparent", PARENT), ("tracestate", "a=1"), ("tracestate", "b=2")]
    await world.send("GET", f"{ORDERS}/ORD-1", token=world.token(), headers=headers)
    assert world.services.last[2].tracestate == "a=1,b=2"


@pytest.mark.parametrize(
    ("kind", "system"), [("application/json", "connectrpc"), ("application/grpc-web+proto", "grpc")]
)
async def test_a_call_of_a_client_says_by_which_protocol_it_came(
    world: Any, spans: RecordedSpans, kind: str, system: str
) -> None:
    path = "/shop.order.v1.OrderService/GetOrder"
    await world.send("POST", path, b"{}", headers=[("content-type", kind)])
    (span,) = spans.ended
    assert (span.attributes["rpc.system.name"], span.attributes["rpc.method"]) == (system, path[1:])
    assert span.attributes["souk.refusal"] == "UNAUTHENTICATED"
