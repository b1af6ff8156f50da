"""What all processes wrote, as one log: what `souk logs` finds, with links to the traces."""

import re
from collections.abc import Mapping

from google.protobuf.timestamp_pb2 import Timestamp
from soukapi.v1 import fleet_pb2

from souk.admin.logs.records import LEVELS, LogRecord, stamp_of
from souk.console.control import ControlSocket
from souk.console.page import ConsolePage, PageRequest, ShownPage
from souk.console.pages.telemetry.source import since_of

SHOWN = 200
FIELDS = ("service", "level", "trace", "about", "text", "since")
TONES: Mapping[str, str] = {"error": "bad", "warning": "warn", "info": "good", "debug": "off"}
_TRACE = re.compile(r"[0-9a-f]{32}", re.ASCII)
_BESIDE = frozenset({"event", "level", "timestamp", "instance", "trace_id"})
"""What is shown beside the other fields of a line."""


def logs_page(control: ControlSocket) -> ConsolePage:
    """Makes the page."""

    async def show(asked: PageRequest) -> ShownPage:
        filters = {name: asked.asked(name) for name in FIELDS}
        request = fleet_pb2.ReadLogsRequest(
            service=filters["service"],
            lines=SHOWN,
            level=filters["level"],
            trace_id=filters["trace"].lower(),
            about=filters["about"],
            text=filters["text"],
        )
        if (since := since_of(asked)) is not None:
            request.since.CopyFrom(_timestamp(since))
        found, more = await control.logs(request)
        records = [_record(one) for one in reversed(found)]
        values = {
            "rows": [_row(one) for one in records],
            "filters": filters,
            "filtered": any(filters.values()),
            "levels": LEVELS,
            "more": more,
        }
        return ShownPage("telemetry/logs.html", "Logs", [one.fields() for one in records], values)

    return ConsolePage("logs", "Logs", show, group="Telemetry")


def _timestamp(at: int) -> Timestamp:
    found = Timestamp()
    found.FromMicroseconds(at)
    return found


def _record(one: fleet_pb2.ReadLogsResponse) -> LogRecord:
    stamp = stamp_of(one.line.encode())
    return LogRecord(one.instance, one.line, stamp.at if stamp else 0, stamp.level if stamp else "info")


def _row(record: LogRecord) -> dict[str, object]:
    fields = record.fields()
    trace = str(fields.get("trace_id", ""))
    return {
        "instance": record.instance,
        "at": record.at,
        "level": record.level,
        "tone": TONES.get(record.level, "off"),
        "event": str(fields.get("event", record.line)),
        "more": [(name, value) for name, value in fields.items() if name not in _BESIDE],
        "trace": trace if _TRACE.fullmatch(trace) else "",
    }
