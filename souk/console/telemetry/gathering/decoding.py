"""Makes records of what a process has answered. It may be of another version, in another language, or wrong: what
makes no sense is left out or cut, and never stops the gathering."""

import json
import re
from collections.abc import Iterable, Iterator

from soukapi.v1 import fleet_pb2

from souk.console.telemetry.store.records import MetricRecord, PointRecord, SpanRecord

LONGEST_NAME, LONGEST_ATTRIBUTES, MOST_LINKS = 300, 16_000, 100
MOST_SERIES = 5_000
"""Series of one process that are read."""
MOST_BUCKETS = 100
_TRACE, _SPAN = re.compile(r"(?!0{32})[0-9a-f]{32}", re.ASCII), re.compile(r"(?!0{16})[0-9a-f]{16}", re.ASCII)
_LINK = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)
_LONGEST = 366 * 24 * 3_600 * 1_000_000
_AHEAD = 60 * 1_000_000
_KINDS = range(5)


def span_records(spans: Iterable[fleet_pb2.RecordedSpan], process: str, now: int) -> Iterator[SpanRecord]:
    """Gives the spans that have valid ids. A time in the future counts as now."""
    for one in spans:
        if not _TRACE.fullmatch(one.trace_id) or not _SPAN.fullmatch(one.span_id):
            continue
        yield SpanRecord(
            one.trace_id,
            one.span_id,
            one.parent_id if _SPAN.fullmatch(one.parent_id) else "",
            process,
            one.service[:LONGEST_NAME],
            one.name[:LONGEST_NAME],
            one.kind if one.kind in _KINDS else 0,
            min(max(one.started, 0), now + _AHEAD),
            min(max(one.took, 0), _LONGEST),
            one.error[:LONGEST_NAME],
            _attributes(one.attributes),
            " ".join(link for link in one.links[:MOST_LINKS] if _LINK.fullmatch(link)),
        )


def _attributes(text: str) -> str:
    if len(text) > LONGEST_ATTRIBUTES:
        return "{}"
    try:
        return text if isinstance(json.loads(text), dict) else "{}"
    except (ValueError, RecursionError):
        return "{}"


def metric_of(family: fleet_pb2.MetricFamily) -> MetricRecord:
    """Says what a metric is."""
    bounds = tuple(family.bounds[:MOST_BUCKETS])
    return MetricRecord(family.name[:LONGEST_NAME], family.type[:LONGEST_NAME], family.help[:LONGEST_NAME], bounds)


def point_records(families: Iterable[fleet_pb2.MetricFamily]) -> Iterator[PointRecord]:
    """Gives the figures of all series, MOST_SERIES at most."""
    left = MOST_SERIES
    for family in families:
        name, labels = family.name[:LONGEST_NAME], [label[:LONGEST_NAME] for label in family.labels]
        for one in family.series[:left]:
            left -= 1
            values = [value[:LONGEST_NAME] for value in one.labels]
            found = {label: value for label, value in zip(labels, values, strict=False) if value}
            shown = json.dumps(found, sort_keys=True, separators=(",", ":"))
            if one.value == one.value and one.sum == one.sum:  # no NaN, which SQLite would keep as NULL
                yield PointRecord(name, shown, one.value, one.sum, tuple(one.counts[:MOST_BUCKETS]))
