"""Reads and writes the header `traceparent`, and checks `tracestate` (W3C Trace Context, Recommendation of 2021).

Pure: no span is recorded here. A header that is not valid is treated as absent, as sections 3.2.2 and 3.3 demand.
"""

import re
from dataclasses import dataclass
from random import getrandbits

_HEADER = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)
_PLAIN = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-0[01]", re.ASCII)
_SAMPLED = 0x01
_NO_TRACE, _NO_SPAN = "0" * 32, "0" * 16
_LETTERS, _VALUE = r"[a-z0-9_*/-]", r"[\x20-\x2b\x2d-\x3c\x3e-\x7e]"
_MEMBER = re.compile(
    rf"(?:[a-z]{_LETTERS}{{0,255}}|[a-z0-9]{_LETTERS}{{0,240}}@[a-z]{_LETTERS}{{0,13}})"
    rf"={_VALUE}{{0,255}}[\x21-\x2b\x2d-\x3c\x3e-\x7e]",
    re.ASCII,
)
MOST_MEMBERS, MOST_CARRIED = 32, 512
"""A `tracestate` has so many members at most, and so many characters are passed on."""
_LONG = 128
"""Members that are longer are left out first."""


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
        return TraceContext(self.trace_id, _span_id(), self.sampled)


# Ids must be unique, not secret: asking the operating system for random bytes costs twenty times as much. Zero is none.


def _span_id() -> str:
    return f"{getrandbits(64) or 1:016x}"


def new(*, sampled: bool = True) -> TraceContext:
    """Makes the first span of a new trace."""
    return TraceContext(f"{getrandbits(128) or 1:032x}", _span_id(), sampled)


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


def child_of_plain(header: str) -> str:
    """Returns the `traceparent` of a new span under the one that `header` names; empty if that is not plain."""
    return below(header) if _PLAIN.fullmatch(header) else ""


def below(header: str) -> str:
    """Returns the `traceparent` of a new span under the one that `header`, which is plain, names."""
    return f"{header[:36]}{_span_id()}{header[52:]}"


def child_header(header: str) -> str:
    """Returns the `traceparent` of a new span under the one that `header` names, or of a new trace."""
    return child_of_plain(header) or child_of(header).traceparent


def child_of(header: str) -> TraceContext:
    """Makes a new span under the one that `header` names, or in a new trace when it names none."""
    parent = parse(header) if header else None
    return new() if parent is None else parent.child()


def carried_state(header: str) -> str:
    """Returns a `tracestate` as it is passed on: unchanged, if it is valid and not too long; empty if it is malformed.

    One that is too long loses its long members first, and then its last ones (section 3.3.1.5).
    """
    members = [one for part in header.split(",", 2 * MOST_MEMBERS) if (one := part.strip(" \t"))]
    keys = {one.partition("=")[0] for one in members}
    if not members or len(members) > MOST_MEMBERS or len(keys) < len(members):
        return ""
    if not all(map(_MEMBER.fullmatch, members)):
        return ""
    if len(header) <= MOST_CARRIED:
        return header
    return _shortened(members)


def _shortened(members: list[str]) -> str:
    length = sum(map(len, members)) + len(members) - 1
    long = [one for one in members if len(one) > _LONG]
    while length > MOST_CARRIED:
        left_out = long.pop() if long else members[-1]
        members.remove(left_out)
        length -= len(left_out) + 1
    return ",".join(members)
