"""The codes that the gateway itself answers with, for any method: their status, meaning and remedy."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Code:
    """The HTTP status of a code, its meaning for the client, and what the client can do."""

    status: int
    meaning: str
    remedy: str


CODES: Mapping[str, Code] = {
    "BODY_TOO_LARGE": Code(413, "The body is too large.", "Send at most 1 MiB."),
    "CROSS_SITE": Code(
        403,
        "The request has the cookies of a session and does not come from a page of this origin.",
        "Send it from a page of this origin, or with `Authorization: Bearer` in place of cookies.",
    ),
    "DEADLINE_EXCEEDED": Code(
        504,
        "The request took too long. It may still have been carried out.",
        "Check whether the change was made, or send the same request again with the same idempotency key.",
    ),
    "HTTP_VERSION_NOT_SUPPORTED": Code(
        505,
        "The request needs another version of HTTP; gRPC needs HTTP/2.",
        "Use HTTP/2, or call by gRPC-Web or Connect.",
    ),
    "HEADERS_TOO_LARGE": Code(431, "The headers are too large.", "Send fewer or shorter headers."),
    "INTERNAL": Code(
        500,
        "Something went wrong in the server; it is not known whether the request was carried out.",
        "Send the `requestId` to the operator of the system; the log says what went wrong.",
    ),
    "ISSUER_UNAVAILABLE": Code(
        503,
        "The issuer of the access token cannot be asked for its keys now, and nothing was done.",
        "Send the request again after `Retry-After`, or log in here.",
    ),
    "LIMITS_UNAVAILABLE": Code(
        503,
        "The server cannot count requests now, and refuses those of this kind until it can. Nothing was done.",
        "Send the same request again after `Retry-After`, with the same idempotency key.",
    ),
    "METHOD_NOT_ALLOWED": Code(405, "This path does not support this HTTP method.", "Use a method that `Allow` names."),
    "NOT_READY": Code(503, "The system is starting or stopping.", "Send the request again in a few seconds."),
    "OVERLOADED": Code(
        503,
        "The server has more to do than it can, and others go first. Nothing was done.",
        "Send the same request again after `Retry-After`, with the same idempotency key.",
    ),
    "LOOP_DETECTED": Code(
        508,
        "Routes of gateways lead to each other, and nothing was done.",
        "Tell the operators: the routes file of one of them is wrong.",
    ),
    "RATE_LIMITED": Code(429, "You sent too many requests of this kind.", "Wait as long as `Retry-After` says."),
    "REQUEST_TIMEOUT": Code(408, "The body did not arrive in time.", "Send the request again, all of it at once."),
    "INVALID_PATH": Code(400, "The path has dot segments.", "Resolve `.` and `..` before the request is sent."),
    "ORIGIN_NOT_ALLOWED": Code(403, "Pages of this origin may not use the route.", "Ask for the origin to be allowed."),
    "ROUTE_NOT_FOUND": Code(404, "There is nothing at this path.", "Check the path; this page lists every one."),
    "UNSUPPORTED_MEDIA_TYPE": Code(
        415,
        "The body is not JSON in UTF-8, or it is compressed.",
        "Send `Content-Type: application/json`, and no `Content-Encoding`.",
    ),
    "UPSTREAM_FAILED": Code(
        502,
        "The server behind the gateway gave no valid answer; it may still have carried the request out.",
        "Check whether the change was made before the request is sent again.",
    ),
    "UPSTREAM_TIMEOUT": Code(
        504,
        "The server behind the gateway did not answer in time; it may still carry the request out.",
        "Check whether the change was made before the request is sent again.",
    ),
    "UPSTREAM_UNAVAILABLE": Code(
        503,
        "No server behind the gateway can take the request now, and nothing was done.",
        "Send the request again after `Retry-After`.",
    ),
    "URI_TOO_LONG": Code(414, "The path and query are too long.", "Shorten the query."),
}


def unavailable(service: str) -> tuple[str, Code]:
    """Returns the name of the code for an unavailable service, and its meaning."""
    code = f"{service.upper().replace('-', '_')}_UNAVAILABLE"
    meaning = f"The {service} service is not available now, and nothing was done."
    return code, Code(503, meaning, "Send the same request again after `Retry-After`, with the same idempotency key.")
