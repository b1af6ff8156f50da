"""Reads and writes the header `traceparent` (W3C Trace Context, Recommendation of 2021).

Pure: no span is recorded here. A header that is not valid is treated as absent, as section 3.2.2
demands.
"""

import re
from dataclasses import dataclass
from random import getrandbits

_HEADER = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)
_PLAIN = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-0[01]", re.ASCII)
_SAMPLED = 0x01
_NO_TRACE, _NO_SPAN = "0" * 32, "0" * 16


@dataclass(slots=True, unsafe_hash=True)  # not frozen: each request makes one, and that would double what it costs
class TraceContext:
    """The ids of a trace and of one of its spans: 32 and 16 lower-case hexadecimal digits. Nobody changes it."""

    trace_id: str
    span_id: str
    sampled: bool = True

    @property
    def traceparent(self) -> str:
        """The value of the header."""
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"

    def child(self) -> "TraceContext":
        """Makes a new span in the same trace."""
        return TraceContext(self.trace_id, _random_hex(8), self.sampled)


def _random_hex(size: int) -> str:
    # Ids must be unique, not secret: asking the operating system for random bytes costs twenty times as much.
    while not (number := getrandbits(8 * size)):
        pass
    return f"{number:0{2 * size}x}"


def new(*, sampled: bool = True) -> TraceContext:
    """Makes the first span of a new trace."""
    ids = _random_hex(24)
    while ids.startswith(_NO_TRACE) or ids.endswith(_NO_SPAN):
        ids = _random_hex(24)
    return TraceContext(ids[:32], ids[32:], sampled)


def parse(header: str) -> TraceContext | None:
    """Reads a `traceparent`; None when it is absent or not valid."""
    found = _HEADER.fullmatch(header)
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if version == "ff" or (version == "00" and more is not None):
        return None
    if trace_id == _NO_TRACE or span_id == _NO_SPAN:
        return None
    return TraceContext(trace_id, span_id, bool(int(flags, 16) & _SAMPLED))


def is_plain(header: str) -> bool:
    """Whether a header is valid and of the present version, without flags of later ones: it can be cut apart."""
    return _PLAIN.fullmatch(header) is not None


def child_header(header: str) -> str:
    """Returns the `traceparent` of a new span under the one that `header` names, or of a new trace."""
    found = _PLAIN.fullmatch(header)
    if found is None:
        return child_of(header).traceparent
    return f"{header[:36]}{_random_hex(8)}{header[52:]}"


def child_of(header: str) -> TraceContext:
    """Makes a new span under the one that `header` names, or in a new trace when it names none."""
    parent = parse(header) if header else None
    return new() if parent is None else parent.child()
