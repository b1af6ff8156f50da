"""Logs: one JSON object a line; on a terminal, short coloured lines.

Neither whole messages nor secrets reach a log (`redaction.py`). The ids of the trace and the span in which something
happens are added to each record.
"""

import logging
import sys
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TextIO, cast

import orjson
import structlog

from souk.kernel.clock import MICROSECONDS, to_datetime
from souk.kernel.context import current
from souk.telemetry.log_stream import LogStream
from souk.telemetry.redaction import LONGEST, STRUCK_OUT, cut, harmless, is_secret
from souk.telemetry.traces import parse

LEVELS = ("debug", "info", "warning", "error")
LONGEST_LINE = 64_000
"""Bytes of a record as JSON."""
_PLAIN = frozenset({"level", "part", "span_id", "timestamp", "trace_id"})
"""Fields that this module writes, or whose values are words of the code."""
_NOISY = ("asyncio", "grpc", "httpx", "httpcore", "uvicorn")
_NOISIER = ("aiormq", "asyncpg", "elastic_transport", "opensearch")
"""Loggers whose warnings repeat what Souk logs itself, with a traceback each time that a server is away."""

Record = MutableMapping[str, Any]
Sink = Callable[[Mapping[str, Any]], None]
"""Takes each record besides the log, when nothing secret is in it any more. It never blocks, and never raises."""


@dataclass(frozen=True, slots=True)
class LogSettings:
    """Settings of the log: `level` is the lowest level that is written; `terminal` chooses lines for people."""

    level: str = "info"
    terminal: bool = False


def without_secrets(logger: object, method: str, record: Record) -> Record:
    """Replaces messages by their types, strikes out secrets and cuts long text; a processor of structlog."""
    for name, value in record.items():
        if name not in _PLAIN or type(value) is not str:
            record[name] = harmless(name, value)
    return record


def with_trace(logger: object, method: str, record: Record) -> Record:
    """Adds the ids of the trace and of the span in which this happens; a processor of structlog."""
    trace = parse(current().traceparent)
    if trace is not None and record.setdefault("trace_id", trace.trace_id) == trace.trace_id:
        record.setdefault("span_id", trace.span_id)
    return record


def _to_json(logger: object, method: str, record: Record) -> str:
    line = orjson.dumps(record, default=str, option=orjson.OPT_NON_STR_KEYS)
    return line.decode() if len(line) <= LONGEST_LINE else _too_long(record, len(line))


def _too_long(record: Record, size: int) -> str:
    kept = {name: cut(str(record[name]), LONGEST) for name in ("event", *_PLAIN) if name in record}
    return orjson.dumps({**kept, "cut": f"the fields of this record, which had {size} bytes, are left out"}).decode()


_FROM_CLIENTS = frozenset({"path", "certificate"})
"""Fields of a request's line that a client may write what it likes in; all others have forms of ours."""
_SHORT = frozenset({int, float, bool, type(None)})
_LINE = orjson.OPT_NON_STR_KEYS | orjson.OPT_APPEND_NEWLINE
_SHARED: tuple[structlog.typing.Processor, ...] = (
    structlog.contextvars.merge_contextvars,
    structlog.processors.add_log_level,
    with_trace,
)


def _finish(settings: LogSettings, sinks: list[Sink]) -> list[structlog.typing.Processor]:
    def give_to_sinks(logger: object, method: str, record: Record) -> Record:
        for sink in sinks:
            sink(record)
        return record

    if settings.terminal:
        return [
            structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False),
            structlog.processors.format_exc_info,
            without_secrets,
            give_to_sinks,
            structlog.dev.ConsoleRenderer(colors=True, exception_formatter=structlog.dev.plain_traceback),
        ]
    return [
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        without_secrets,
        give_to_sinks,
        _to_json,
    ]


class LineFactory(structlog.WriteLoggerFactory):
    """Makes structlog's loggers, and shows what they write to, and from which level; `plain` says that it is JSON."""

    def __init__(self, stream: LogStream, level: int, *, plain: bool) -> None:
        super().__init__(cast(TextIO, stream))
        self.stream, self.level, self.plain = stream, level, plain
        self.sinks: list[Sink] = []


@lru_cache(maxsize=16)
def _second(seconds: int) -> str:
    return to_datetime(seconds * MICROSECONDS).isoformat()[:19]


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
    for name, value in record.items():
        kind = type(value)
        if kind in _SHORT or (kind is str and len(value) <= LONGEST and name not in _FROM_CLIENTS):
            if is_secret(name):
                record[name] = STRUCK_OUT
        else:
            record[name] = harmless(name, value)
    record["event"], record["level"] = event, "info"
    record["timestamp"] = f"{_second(at // MICROSECONDS)}.{at % MICROSECONDS:06d}Z"
    for sink in factory.sinks:
        sink(record)
    factory.stream.write_soon(orjson.dumps(record, default=str, option=_LINE))
    return True


def configure(settings: LogSettings, stream: TextIO | None = None) -> None:
    """Sends structlog's records, and those of the standard library, to `stream` (stderr by default).

    Records that the reader of the stream does not take are lost; they never block the process (`LogStream`).
    """
    target = LogStream(sys.stderr if stream is None else stream)
    level = logging.getLevelName(settings.level.upper())
    factory = LineFactory(target, level, plain=not settings.terminal)
    finish = _finish(settings, factory.sinks)
    structlog.configure(
        processors=[*_SHARED, *finish],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=factory,
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


@contextmanager
def given_also_to(sink: Sink) -> Iterator[None]:
    """Gives every record to `sink` as well, inside the block. Does nothing before `configure`."""
    factory = structlog.get_config()["logger_factory"]
    sinks = factory.sinks if type(factory) is LineFactory else []
    sinks.append(sink)
    try:
        yield
    finally:
        sinks.remove(sink)


def lost_lines() -> int:
    """Counts the lines that the reader of this process's log has not taken."""
    factory = structlog.get_config()["logger_factory"]
    return factory.stream.lost if type(factory) is LineFactory else 0


def logger(part: str) -> structlog.typing.FilteringBoundLogger:
    """Returns a logger whose records name the part of Souk that they come from."""
    return cast(structlog.typing.FilteringBoundLogger, structlog.get_logger(part=part))
