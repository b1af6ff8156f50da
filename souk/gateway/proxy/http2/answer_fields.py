"""The fields of an answer in HTTP/2. h2 has checked a part; what no message of HTTP/1.1 could carry is refused here."""

import re
from typing import cast

from souk.gateway.http.answers import Headers
from souk.gateway.proxy.faults import FaultKind, UpstreamFault
from souk.http1.framing import fields_fault
from souk.kernel.whole_numbers import whole_number

_STATUS = re.compile(rb"[1-5][0-9]{2}")
_LONGEST = 2**63 - 1
_MOST_FIELDS = 256


def status_of(headers: object) -> int:
    """Returns the status of a head. Raises UpstreamFault if it has none."""
    for name, value in cast("Headers", headers):
        if name == b":status" and _STATUS.fullmatch(value):
            return int(value)
    raise UpstreamFault(FaultKind.BROKEN, "an answer has no status that is one")


def sound(headers: object) -> Headers:
    """Returns the fields that are no pseudo-fields. Raises UpstreamFault for what no message of HTTP/1.1 could carry: a
    client might read it as the end of the head."""
    fields = [(bytes(name), bytes(value)) for name, value in cast("Headers", headers) if not name.startswith(b":")]
    if (found := fields_fault(fields)) is not None:
        raise UpstreamFault(FaultKind.BROKEN, f"in an answer, {found[1]}")
    if len(fields) > _MOST_FIELDS:
        raise UpstreamFault(FaultKind.BROKEN, f"an answer has more than {_MOST_FIELDS} headers")
    lengths = [value for name, value in fields if name == b"content-length"]
    if len(lengths) > 1 or (lengths and whole_number(lengths[0], _LONGEST) is None):
        raise UpstreamFault(FaultKind.BROKEN, "the length of the body is no number")
    return fields
