"""A request to an adopted application is a server span, and the application learns of it by the header."""

from typing import Any

import pytest

from souk.hosting.adopted.caller_headers import CallerHeaders
from souk.kernel.context import Caller, current
from souk.rpc.caller_token import CallerTokens
from souk.telemetry.tracing.span import Span
from souk.testing.recorded_spans import RecordedSpans
from tests.hosting.test_adopted import CLOCK, KEY, token

GATEWAY = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
TRACE = (b"traceparent", GATEWAY.encode())


def from_gateway() -> tuple[bytes, bytes]:
    """The caller's header of a call that begins now: its token lasts for half a minute."""
    return token(Caller("U-1", service="gateway"))


class Route:
    path = "/reviews/{id}"


async def asked(*headers: tuple[bytes, bytes], fails: bool = False, kind: str = "http") -> tuple[Span, list[str]]:
    """Asks an application; gives the span, and the traces that the application found: its header and its context."""
    spans, found = RecordedSpans(), []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        found.extend([value.decode() for name, value in scope["headers"] if name == b"traceparent"])
        found.append(current().traceparent)
        scope["route"] = Route()
        if fails:
            raise KeyError("private")
        if kind == "websocket":
            await send({"type": "websocket.accept"})
        else:
            await send({"type": "http.response.start", "status": 201, "headers": []})

    async def send(message: Any) -> None:
        pass

    callers = CallerHeaders(application, CallerTokens(KEY, "reviews", CLOCK), "/reviews", {}, spans.tracer("reviews"))
    scope = {"type": kind, "path": "/reviews/7", "query_string": b"secret=1", "scheme": "http", "client": None}
    if kind == "http":
        scope["method"] = "POST"
    try:
        await callers({**scope, "headers": list(headers)}, None, send)  # type: ignore[arg-type]  # nothing is received
    except KeyError:
        assert fails
    (span,) = spans.ended
    assert "secret" not in str(span.attributes)
    return span, found


async def test_a_request_of_the_gateway_goes_on_under_its_try() -> None:
    span, found = await asked(from_gateway(), TRACE)
    assert (span.service, span.kind.name, span.name) == ("reviews", "SERVER", "POST /reviews/{id}")
    assert (span.trace_id, span.parent_id) == (GATEWAY[3:35], GATEWAY[36:52])
    assert found == [span.traceparent, span.traceparent]
    assert span.attributes == {
        "http.request.method": "POST",
        "url.path": "/reviews/7",
        "url.scheme": "http",
        "http.route": "/reviews/{id}",
        "http.response.status_code": 201,
    }


async def test_without_a_trace_one_begins() -> None:
    span, found = await asked(from_gateway())
    assert span.parent_id == ""
    assert found == [span.traceparent, span.traceparent]


@pytest.mark.parametrize("flag", ["00", "01"])
async def test_by_another_way_the_flag_of_a_caller_decides_nothing(flag: str) -> None:
    span, _ = await asked((b"traceparent", GATEWAY[:-2].encode() + flag.encode()))
    assert (span.trace_id, span.traceparent[-2:]) == (GATEWAY[3:35], "01")


async def test_an_application_that_fails_is_an_error_without_its_words() -> None:
    span, _ = await asked(from_gateway(), TRACE, fails=True)
    assert (span.error, span.reason) == ("KeyError", "failed")
    assert "private" not in str(span.attributes)


async def test_a_websocket_is_recorded_to_its_end() -> None:
    span, _ = await asked(from_gateway(), TRACE, kind="websocket")
    assert (span.streaming, span.attributes["http.response.status_code"]) == (True, 101)
