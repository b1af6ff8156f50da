"""One reported try: where it went and how it ended, judged as the layers inside a process judge a call."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import grpc

from souk.descriptors.contract import Method
from souk.mesh.envoy.releases import OBSERVED
from souk.mesh.envoy.reports import STATUS
from souk.rpc.call import Status, failed
from souk.rpc.client.layers import verdict
from souk.rpc.status import STATUS_KEY

_CODES: Mapping[str, grpc.StatusCode] = {str(code.value[0]): code for code in grpc.StatusCode}
_BROKEN = ("upstream_remote_reset", "upstream_connection_termination", "upstream_protocol_error")
_LIMITED = "upstream_overflow"
_NO_CONNECTION = "upstream_connection_failure"
_HTTP_OK = 200


@dataclass(frozen=True, slots=True)
class ReportedTry:
    """A try of the method at `path` by a cluster of Envoy. `code` is None when it was not made, for a limit of the
    caller's own; one that its caller gave up ends as if its time was over. `details` is a serialised google.rpc.Status.
    """

    path: str
    cluster: str
    canary: str
    seconds: float
    code: grpc.StatusCode | None
    details: bytes = b""
    sent: bool = True


def read_try(entry: Any) -> ReportedTry:
    """Reads an HTTPAccessLogEntry."""
    common, response = entry.common_properties, entry.response
    answer = {**response.response_headers, **response.response_trailers}
    flags = {field.name for field, value in common.response_flags.ListFields() if value}
    return ReportedTry(
        entry.request.path,
        common.upstream_cluster,
        entry.request.request_headers.get(OBSERVED, ""),
        common.duration.ToTimedelta().total_seconds(),
        _code(answer.get(STATUS), flags, response.response_code.value),
        _decoded(answer.get(STATUS_KEY, "")),
        _NO_CONNECTION not in flags,
    )


def failed_by_contract(one: ReportedTry, method: Method, try_timeout: float) -> bool | None:
    """Tells whether a try counts against its callee, as `verdict` does; None if it proves nothing either way.

    `try_timeout` is the limit of the try, in seconds.
    """
    if one.code is None:
        return None
    if one.code is grpc.StatusCode.OK:
        return False
    trailing = ((STATUS_KEY, one.details),) if one.details else ()
    return verdict(failed(method, Status(one.code, "", trailing, one.sent)), one.seconds, try_timeout)


def _code(status: str | None, flags: set[str], http: int) -> grpc.StatusCode | None:
    if status is not None:
        return _CODES.get(status, grpc.StatusCode.UNKNOWN)
    if _LIMITED in flags:
        return None
    if _NO_CONNECTION in flags or flags.intersection(_BROKEN):
        return grpc.StatusCode.UNAVAILABLE
    return grpc.StatusCode.UNKNOWN if http not in (0, _HTTP_OK) else grpc.StatusCode.DEADLINE_EXCEEDED


def _decoded(text: str) -> bytes:
    """Reads the base64 of a header, which may come without its padding; what cannot be read counts as nothing."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return b""
