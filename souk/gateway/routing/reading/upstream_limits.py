"""Reads the limits of an upstream: its times, connections and sizes."""

import yaml

from souk.gateway.routing.model import UpstreamLimits
from souk.gateway.routing.reading.nodes import NodeReader

LIMITS = ("timeouts", "maxConnections", "maxHead", "maxAnswer")
TIMEOUTS = ("connect", "firstByte", "idle", "keepAlive")
_CONNECTIONS = 100_000
_LEAST_HEAD, _LARGEST_HEAD = 1024, 1024 * 1024
_LARGEST_ANSWER = 2**40


def read_upstream_limits(reader: NodeReader, given: dict[str, yaml.Node]) -> UpstreamLimits:
    """Reads them from the fields of an upstream."""
    times = reader.fields(given["timeouts"], "timeouts", TIMEOUTS) if "timeouts" in given else {}

    def time(name: str) -> float | None:
        return _above_zero(reader, times[name], name) if name in times else None

    def whole(name: str, least: int, most: int) -> int | None:
        return reader.whole(given[name], name, least, most) if name in given else None

    return UpstreamLimits(
        connect=time("connect"),
        first_byte=time("firstByte"),
        idle=time("idle"),
        keep_for=time("keepAlive"),
        connections=whole("maxConnections", 1, _CONNECTIONS),
        max_head=whole("maxHead", _LEAST_HEAD, _LARGEST_HEAD),
        max_answer=whole("maxAnswer", 0, _LARGEST_ANSWER),
    )


def _above_zero(reader: NodeReader, node: yaml.Node, name: str) -> float:
    before = len(reader.findings)
    seconds = reader.duration(node, name)
    if not seconds and len(reader.findings) == before:
        reader.wrong(node, f"{name} must be above 0s")
    return seconds
