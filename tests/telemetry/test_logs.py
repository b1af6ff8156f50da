import io
import json
import logging

import pytest
import structlog
from soukapi.v1.event_pb2 import Event

from souk.kernel.context import CallContext, use
from souk.telemetry import logs, traces

NOW = 1_780_000_000_123_456


def test_one_json_line_a_record_with_part_and_trace(written: io.StringIO) -> None:
    trace = traces.new()
    with use(CallContext(traceparent=trace.traceparent)):
        logs.logger("order").info("placed", order="O-1")
    record = json.loads(written.getvalue())
    assert record["event"] == "placed"
    assert record["part"] == "order"
    assert record["level"] == "info"
    assert record["trace_id"] == trace.trace_id
    assert record["timestamp"].endswith("Z")


def test_neither_messages_nor_secrets_are_written(written: io.StringIO) -> None:
    logs.logger("order").info(
        "called",
        message=Event(id="hidden-id"),
        password="hidden-password",
        metadata={"Authorization": "Bearer hidden-token"},
        body=b"hidden-body",
    )
    assert "hidden" not in written.getvalue()
    assert json.loads(written.getvalue())["message"] == "soukapi.v1.Event"


def test_long_text_is_cut(written: io.StringIO) -> None:
    logs.logger("order").info("said", text="x" * 10_000)
    assert len(written.getvalue()) < 1_000


def test_the_standard_library_writes_the_same_lines(written: io.StringIO) -> None:
    logging.getLogger("somebody").warning("odd %s", "thing")
    record = json.loads(written.getvalue())
    assert record["event"] == "odd thing"
    assert record["level"] == "warning"


def test_an_exception_keeps_its_traceback_on_one_line(written: io.StringIO) -> None:
    try:
        raise ValueError("why")
    except ValueError:
        logs.logger("order").exception("failed")
    assert written.getvalue().count("\n") == 1
    assert "ValueError: why" in json.loads(written.getvalue())["exception"]


def test_a_terminal_gets_short_coloured_lines() -> None:
    stream = io.StringIO()
    handlers = logging.getLogger().handlers[:]
    logs.configure(logs.LogSettings(terminal=True), stream)
    try:
        logs.logger("order").info("placed", order="O-1")
    finally:
        structlog.reset_defaults()
        logging.getLogger().handlers[:] = handlers
    assert "placed" in stream.getvalue()
    assert "\x1b[" in stream.getvalue()


def test_what_a_server_says_of_itself_is_not_ours_to_tell(written: io.StringIO) -> None:
    logging.getLogger("uvicorn.error").info("Started server process [1]")
    assert written.getvalue() == ""


def test_what_a_driver_warns_of_is_told_by_whoever_uses_it(written: io.StringIO) -> None:
    logging.getLogger("asyncpg.pool").warning("Failed to restore the pool connection floor; retrying")
    assert written.getvalue() == ""
    logging.getLogger("asyncpg.pool").error("worse")
    assert "worse" in written.getvalue()


def test_a_record_written_at_once_is_as_a_logger_writes_it(written: io.StringIO) -> None:
    record = {"part": "gateway", "path": "/x", "token": "abc", "caller": "c" * 600, "trace_id": "1"}
    logs.logger("gateway").info("request", **{name: value for name, value in record.items() if name != "part"})
    assert logs.write_at_once("request", dict(record), NOW)
    one, other = (json.loads(line) for line in written.getvalue().splitlines())
    assert {**one, "timestamp": ""} == {**other, "timestamp": ""}
    assert one["timestamp"][-1] == "Z"
    assert other["timestamp"] == "2026-05-28T20:26:40.123456Z"


def test_a_record_is_left_to_the_logger_when_it_is_captured(written: io.StringIO) -> None:
    with structlog.testing.capture_logs():
        assert not logs.write_at_once("request", {"part": "gateway"}, NOW)
    assert not written.getvalue()


@pytest.mark.parametrize("settings", [logs.LogSettings(terminal=True), logs.LogSettings(level="warning")])
def test_a_record_is_left_to_the_logger_when_it_is_not_json_or_not_wanted(
    written: io.StringIO, settings: logs.LogSettings
) -> None:
    logs.configure(settings, written)
    assert not logs.write_at_once("request", {"part": "gateway"}, NOW)
