"""A request to an adopted application is one trace with the gateway's, in processes of their own."""

from pathlib import Path

import httpx
import pytest

from souk.testing.otlp_receiver import ReceivedSpan, otlp_receiver
from souk.testing.system import MODES
from tests.examples.test_adopt_fastapi import adopted, is_there

pytestmark = pytest.mark.engines

WANTED = {"gateway SERVER", "gateway CLIENT", "reviews SERVER"}


def test_the_gateway_its_try_and_the_application(tmp_path: Path) -> None:
    with otlp_receiver() as receiver:
        exported = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.http_url, "OTEL_BSP_SCHEDULE_DELAY": "200"}
        with (
            MODES["embedded"](tmp_path / "system", settings=exported) as system,
            adopted(system, tmp_path, "--name", "reviews", settings=exported),
        ):
            is_there(f"{system.url}/reviews/me")
            answer = httpx.get(f"{system.url}/reviews/me?secret=1")
            trace = answer.headers["traceparent"].split("-")[1]

            def of_trace(spans: list[ReceivedSpan]) -> dict[str, ReceivedSpan]:
                return {f"{one.service} {one.kind}": one for one in spans if one.trace_id == trace}

            found = of_trace(receiver.wait(lambda spans: of_trace(spans).keys() >= WANTED))
    asked, tried, handled = (found[name] for name in ("gateway SERVER", "gateway CLIENT", "reviews SERVER"))
    assert (asked.parent_id.strip("0"), tried.parent_id, handled.parent_id) == ("", asked.span_id, tried.span_id)
    assert (tried.name, handled.name) == ("GET", "GET /me")
    assert {one.attributes["http.response.status_code"] for one in (asked, tried, handled)} == {200}
    assert "secret" not in str([one.attributes for one in found.values()])
