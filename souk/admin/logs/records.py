"""What a line of a log says of itself: when, how serious, in which trace. Our own JSON, PostgreSQL's and Valkey's."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import orjson

from souk.kernel.clock import from_datetime

LEVELS = ("debug", "info", "warning", "error")

_JSON_TIME = re.compile(rb'"timestamp": ?"([^"]{10,40})"')
_POSTGRES = re.compile(rb"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+) UTC \[\d+\][^:]{0,200}? ([A-Z]+)\d?: ")
_VALKEY = re.compile(rb"\d+:[A-Z] (\d{1,2} [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d\.\d+) ([.*#-]) ")
_JSON_LEVEL = re.compile(rb'"level": ?"([a-z]+)"')
_POSTGRES_LEVELS: Mapping[bytes, str] = MappingProxyType(
    {b"DEBUG": "debug", b"WARNING": "warning", b"ERROR": "error", b"FATAL": "error", b"PANIC": "error"}
)
_POSTGRES_MORE = frozenset({b"DETAIL", b"HINT", b"CONTEXT", b"STATEMENT", b"QUERY", b"LOCATION"})
"""They belong to the line before them."""
_VALKEY_LEVELS: Mapping[bytes, str] = MappingProxyType({b".": "debug", b"-": "debug", b"*": "info", b"#": "warning"})
_ALIASES: Mapping[str, str] = MappingProxyType({"critical": "error", "exception": "error", "warn": "warning"})
_TRACE = re.compile(rb'"trace_id": ?"([0-9a-f]{32})"')


@dataclass(frozen=True, slots=True)
class Stamp:
    """The time of a line in microseconds since 1970, and one of LEVELS."""

    at: int
    level: str


@dataclass(frozen=True, slots=True)
class LogRecord:
    """A line of the log of the process `instance`.

    A line without a time has that of the line before it; `at` is 0 if no line before it has one.
    """

    instance: str
    line: str
    at: int
    level: str
    trace_id: str = field(default="", compare=False)

    def fields(self) -> dict[str, Any]:
        """Gives the record as JSON shows it: its own fields, or those that are known of a line that is no JSON."""
        try:
            found = orjson.loads(self.line)
        except orjson.JSONDecodeError:
            found = None
        if isinstance(found, dict):
            return {"instance": self.instance, **found}
        time = datetime.fromtimestamp(self.at / 1e6, UTC).isoformat().replace("+00:00", "Z") if self.at else None
        return {"instance": self.instance, "event": self.line, "level": self.level, "timestamp": time}


def stamp_of(line: bytes) -> Stamp | None:
    """Reads when a line was written, and how serious it is; None for a line without a time."""
    if line[:1] == b"{":
        found = _JSON_TIME.search(line)
        at = None if found is None else _time(found[1], datetime.fromisoformat)
        return None if at is None else Stamp(at, _json_level(line))
    if (found := _POSTGRES.match(line)) and found[2] not in _POSTGRES_MORE:
        at = _time(found[1] + b"+00:00", datetime.fromisoformat)
        return None if at is None else Stamp(at, _POSTGRES_LEVELS.get(found[2], "info"))
    if found := _VALKEY.match(line):
        at = _time(found[1], _local)
        return None if at is None else Stamp(at, _VALKEY_LEVELS[found[2]])
    return None


def trace_of(line: bytes) -> str:
    """Reads the id of the trace that a line belongs to; "" if it names none."""
    found = _TRACE.search(line)
    return found[1].decode() if found else ""


def _json_level(line: bytes) -> str:
    found = _JSON_LEVEL.search(line)
    level = found[1].decode() if found else "info"
    level = _ALIASES.get(level, level)
    return level if level in LEVELS else "info"


def _time(text: bytes, read: Callable[[str], datetime]) -> int | None:
    try:
        found = read(text.decode())
    except ValueError:
        return None
    return from_datetime(found if found.tzinfo else found.replace(tzinfo=UTC))


def _local(text: str) -> datetime:
    return datetime.strptime(text, "%d %b %Y %H:%M:%S.%f").astimezone()
