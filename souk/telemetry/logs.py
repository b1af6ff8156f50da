"""Logs: one JSON object a line; on a terminal, short coloured lines.

Whole messages never reach a log. A protobuf message is replaced by the name of its type, a value whose name
contains a word such as "password" or "token" is struck out, and long text is cut. The trace of the call that
is being handled is added to each record.
"""

import logging
import sys
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TextIO, cast

import orjson
import structlog
from google.protobuf.message import Message

from souk.kernel.clock import to_datetime
from souk.kernel.context import current
from souk.telemetry.log_stream import LogStream
from souk.telemetry.traces import parse

LEVELS = ("debug", "info", "warning", "error")
STRUCK_OUT = "[struck out]"
LONGEST = 500

_SECRET_WORDS = ("password", "secret", "token", "authorization", "cookie", "card", "api_key", "private")
_SHORT = frozenset({int, float, bool, type(None)})
_KEEP_WHOLE = frozenset({"exception", "event"})
_NOISY = ("asyncio", "grpc", "httpx", "httpcore", "uvicorn")
_NOISIER = ("aiormq", "asyncpg", "elastic_transport", "opensearch")
"""Loggers whose warnings repeat what Souk logs itself, with a traceback each time that a server is away."""

Record = MutableMapping[str, Any]


@dataclass(frozen=True, slots=True)
class LogSettings:
    """Settings of the log: `level` is the lowest level that is written; `terminal` chooses lines for people."""

    level: str = "info"
    terminal: bool = False


@lru_cache(maxsize=1024)
def _is_secret(name: str) -> bool:
    lowered = name.lower()
    return any(word in lowered for word in _SECRET_WORDS)


def _harmless(name: str, value: object) -> object:
    if _is_secret(name):
        return STRUCK_OUT
    if type(value) in _SHORT:
        return value
    if isinstance(value, str):
        return f"{value[:LONGEST]}..." if len(value) > LONGEST and name not in _KEEP_WHOLE else value
    if isinstance(value, Message):
        return value.DESCRIPTOR.full_name
    if isinstance(value, bytes | bytearray | memoryview):
        return f"{len(value)} bytes"
    if isinstance(value, Mapping):
        return {str(key): _harmless(str(key), inner) for key, inner in value.items()}
    return value


def without_secrets(logger: object, method: str, record: Record) -> Record:
    """Replaces messages by their types, strikes out secrets and cuts long text; a processor of structlog."""
    for name, value in record.items():
        if _is_secret(name):
            record[name] = STRUCK_OUT
        elif type(value) not in _SHORT and (type(value) is not str or len(value) > LONGEST):
            record[name] = _harmless(name, value)
    return record


def with_trace(logger: object, method: str, record: Record) -> Record:
    """Adds the trace id of the call that is being handled; a processor of structlog."""
    trace = parse(current().traceparent)
    if trace is not None:
        record.setdefault("trace_id", trace.trace_id)
    return record


def _to_json(logger: object, method: str, record: Record) -> str:
    return orjson.dumps(record, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


_LINE = orjson.OPT_NON_STR_KEYS | orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE
_SHARED: tuple[structlog.typing.Processor, ...] = (
    structlog.contextvars.merge_contextvars,
    structlog.processors.add_log_level,
    with_trace,
)


def _finish(settings: LogSettings) -> list[structlog.typing.Processor]:
    if settings.terminal:
        return [
            structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False),
            without_secrets,
            structlog.dev.ConsoleRenderer(colors=True, exception_formatter=structlog.dev.plain_traceback),
        ]
    return [
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        without_secrets,
        _to_json,
    ]


class LineFactory(structlog.WriteLoggerFactory):
    """Makes structlog's loggers, and shows what they write to, and from which level; `plain` says that it is JSON."""

    def __init__(self, stream: LogStream, level: int, *, plain: bool) -> None:
        super().__init__(cast(TextIO, stream))
        self.stream, self.level, self.plain = stream, level, plain


def write_at_once(event: str, record: Record, at: int) -> bool:
    """Writes a record of level info as a logger does, for a third of the CPU; False if it must be given to a logger.

    For one line that each request has; `at` is its time, in microseconds since 1970. It is written when the event
    loop's turn ends, and only while the log is JSON as `configure` has set it up.
    """
    config = structlog.get_config()
    factory = config["logger_factory"]
    if type(factory) is not LineFactory or not factory.plain or factory.level > logging.INFO:
        return False
    if config["processors"][-1] is not _to_json:  # the log is captured
        return False
    without_secrets(None, "info", record)
    record["event"], record["level"], record["timestamp"] = event, "info", to_datetime(at)
    factory.stream.write_soon(orjson.dumps(record, default=str, option=_LINE))
    return True


def configure(settings: LogSettings, stream: TextIO | None = None) -> None:
    """Sends structlog's records, and those of the standard library, to `stream` (stderr by default).

    Records that the reader of the stream does not take are lost; they never block the process (`LogStream`).
    """
    target = LogStream(sys.stderr if stream is None else stream)
    level = logging.getLevelName(settings.level.upper())
    finish = _finish(settings)
    structlog.configure(
        processors=[*_SHARED, *finish],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=LineFactory(target, level, plain=not settings.terminal),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(target)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*_SHARED, structlog.stdlib.ExtraAdder()],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *finish],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _NOISY:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
    for name in _NOISIER:
        logging.getLogger(name).setLevel(logging.ERROR)


def logger(part: str) -> structlog.typing.FilteringBoundLogger:
    """Returns a logger whose records name the part of Souk that they come from."""
    return cast(structlog.typing.FilteringBoundLogger, structlog.get_logger(part=part))
