"""Each try of a request to an upstream is a client span, and the upstream is told of it."""

from typing import Any

import pytest

from souk.gateway.proxy.settings import UpstreamSettings
from souk.gateway.proxy.upstream import Upstream
from souk.gateway.routing.model import RetryPolicy
from souk.resilience.balancer import BalancerSettings, EjectionSettings
from souk.telemetry.tracing.span import Span
from souk.testing.recorded_spans import RecordedSpans
from tests.gateway.proxy.conftest import Accepted, Proxy, Server

GET = "GET /up/orders?secret=1 HTTP/1.1"
PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
STATE = "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7"


@pytest.fixture
def spans() -> RecordedSpans:
    return RecordedSpans()


@pytest.fixture
async def upstream(world: Any, settings: UpstreamSettings, spans: RecordedSpans) -> Any:
    world.gateway._tracer = spans.tracer("gateway")
    made = Upstream("orders", world.clock, settings=settings, tracer=spans.tracer("gateway"))
    yield made
    await made.close()


def of_kind(spans: RecordedSpans, kind: str) -> list[Span]:
    return [one for one in spans.ended if one.kind.name == kind]


async def test_a_try_is_a_span_that_the_upstream_gets(proxy: Proxy, server: Server, spans: RecordedSpans) -> None:
    assert (await proxy.ask(f"{GET}\ntraceparent: {PARENT}\ntracestate: {STATE}"))[0] == 200
    (asked,), (tried,) = of_kind(spans, "SERVER"), of_kind(spans, "CLIENT")
    assert (tried.trace_id, tried.parent_id, tried.name) == (PARENT[3:35], asked.span_id, "GET")
    assert tried.attributes == {
        "http.request.method": "GET",
        "url.full": f"{server.url}/orders",
        "server.address": "127.0.0.1",
        "server.port": server.port,
        "http.response.status_code": 200,
    }
    assert (server.last[1]["traceparent"], server.last[1]["tracestate"]) == (tried.traceparent, STATE)
    assert asked.tracestate == tried.tracestate == STATE


@pytest.mark.parametrize("state", ["no state", "a=1,a=2", "A=1", ",".join(f"k{n}=1" for n in range(33))])
async def test_a_malformed_tracestate_goes_no_further(
    proxy: Proxy, server: Server, spans: RecordedSpans, state: str
) -> None:
    assert (await proxy.ask(f"{GET}\ntraceparent: {PARENT}\ntracestate: {state}"))[0] == 200
    assert "tracestate" not in server.last[1]


async def test_without_a_valid_traceparent_there_is_no_tracestate(
    proxy: Proxy, server: Server, spans: RecordedSpans
) -> None:
    assert (await proxy.ask(f"{GET}\ntraceparent: x\ntracestate: {STATE}"))[0] == 200
    assert "tracestate" not in server.last[1]


async def test_each_retry_is_a_span_with_its_number(
    proxy: Proxy, server: Server, spans: RecordedSpans, upstream: Upstream
) -> None:
    answers = [b"503 Away", b"503 Away", b"200 OK"]

    async def script(peer: Accepted) -> None:
        while True:
            await peer.request()
            await peer.send(b"HTTP/1.1 %b\r\ncontent-length: 2\r\n\r\nok" % answers.pop(0))

    server.script = script
    proxy.retry = RetryPolicy(codes=frozenset({503}), attempts=3, backoff=0.001)
    assert (await proxy.ask(GET))[0] == 200
    tries = of_kind(spans, "CLIENT")
    assert [one.attributes.get("http.request.resend_count") for one in tries] == [None, 1, 2]
    assert [(one.error, one.attributes["http.response.status_code"]) for one in tries] == [
        ("503", 503), ("503", 503), ("", 200)
    ]  # fmt: skip
    assert [one.reason for one in tries] == ["failed", "retried", "retried"]
    assert len({headers["traceparent"] for _, headers in server.requests}) == 3


@pytest.mark.parametrize(
    "settings", [UpstreamSettings(balancer=BalancerSettings(ejection=EjectionSettings(failures=1)))]
)
async def test_the_try_that_had_its_instance_left_out_says_so(
    proxy: Proxy, server: Server, serve: Any, spans: RecordedSpans, upstream: Upstream
) -> None:
    other = await serve()

    async def broken(peer: Accepted) -> None:
        await peer.request()
        peer.reset()

    server.script = broken
    upstream.listed([server.url, other.url])
    proxy.retry = RetryPolicy(codes=frozenset(), attempts=2, backoff=0.001)
    while not server.connections:  # which of the two is asked is drawn
        assert (await proxy.ask(GET))[0] == 200
    (failed,) = [one for one in of_kind(spans, "CLIENT") if one.error]
    assert (failed.attributes["server.port"], failed.attributes["souk.upstream.ejected"]) == (server.port, True)
    assert "http.response.status_code" not in failed.attributes


async def test_an_instance_that_is_not_there_is_an_error(
    proxy: Proxy, spans: RecordedSpans, upstream: Upstream
) -> None:
    upstream.listed(["http://127.0.0.1:1"])
    assert (await proxy.ask(GET))[0] == 502
    (tried,), (asked,) = of_kind(spans, "CLIENT"), of_kind(spans, "SERVER")
    assert (tried.error, tried.reason) == ("not sent", "failed")
    assert (asked.attributes["souk.refusal"], asked.error) == ("UPSTREAM_FAILED", "502")


async def test_what_the_client_did_wrong_is_an_error_that_keeps_nothing(
    proxy: Proxy, server: Server, spans: RecordedSpans
) -> None:
    async def script(peer: Accepted) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n")

    server.script = script
    assert (await proxy.ask(GET))[0] == 404
    (tried,) = of_kind(spans, "CLIENT")
    assert (tried.error, tried.reason) == ("404", "")
