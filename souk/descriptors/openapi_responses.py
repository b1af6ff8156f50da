"""The answers of an operation in OpenAPI: its successes by state, its reasons, and the gateway's own errors."""

from collections import defaultdict
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, cast

from google.protobuf.descriptor import Descriptor
from google.protobuf.empty_pb2 import Empty

from souk.descriptors.contract import Access, Method
from souk.descriptors.json_schema import Schema, Schemas

HEADERS: Mapping[str, Schema] = {
    "RequestId": {
        "description": "The client's, if it sent a sane one.",
        "schema": {"type": "string"},
        "required": True,
    },
    "Traceparent": {"description": "W3C Trace Context.", "schema": {"type": "string"}, "required": True},
    "RetryAfter": {"description": "Seconds.", "schema": {"type": "integer", "minimum": 1}, "required": True},
    "Location": {"description": "Where the resource is.", "schema": {"type": "string"}, "required": True},
    "IdempotentReplayed": {
        "description": "The answer to an earlier request with the same key.",
        "schema": {"type": "string", "enum": ["true"]},
    },
    "WwwAuthenticate": {"description": "RFC 6750.", "schema": {"type": "string"}, "required": True},
}

PROBLEM: Schema = {
    "type": "object",
    "description": "RFC 9457. A reason may bring members of its own.",
    "properties": {
        "type": {"type": "string", "format": "uri-reference", "description": "Leads to the code's documentation."},
        "title": {"type": "string", "description": "The code in words."},
        "status": {"type": "integer", "description": "The HTTP status, again."},
        "detail": {"type": "string", "description": "What happened, for people."},
        "code": {"type": "string", "description": "Stable: branch on this."},
        "requestId": {"type": "string", "description": "The request in the server's log."},
        "errors": {
            "type": "array",
            "description": "What is wrong with the request, field by field.",
            "items": {
                "type": "object",
                "properties": {"field": {"type": "string"}, "detail": {"type": "string"}},
                "required": ["field", "detail"],
            },
        },
    },
    "required": ["type", "title", "status", "detail", "code", "requestId"],
}

_EVERYWHERE = {
    414: ("URI_TOO_LONG",),
    429: ("RATE_LIMITED",),
    431: ("HEADERS_TOO_LARGE",),
    500: ("INTERNAL",),
    504: ("DEADLINE_EXCEEDED",),
}
_WITH_BODY = {408: ("REQUEST_TIMEOUT",), 413: ("BODY_TOO_LARGE",), 415: ("UNSUPPORTED_MEDIA_TYPE",)}
_STANDARD = {"UNAUTHENTICATED", "FORBIDDEN"}


class Responses:
    """Writes the answers of operations; problems that many share are collected as components."""

    def __init__(self, schemas: Schemas, identity: str) -> None:
        self.components: dict[str, Schema] = {}
        self._schemas, self._identity = schemas, identity

    def of(self, method: Method, *, has_body: bool) -> dict[str, Any]:
        """Every answer that a method can have, by status."""
        found = {str(status): _success(method, self._schemas, status) for status in _success_statuses(method)}
        for status, codes in sorted(_problems(method, self._identity, has_body=has_body).items()):
            details = {code: detail for code in codes if (detail := self._detail(method, code))}
            found[str(status)] = self._problem(status, codes, details)
        return found

    def _detail(self, method: Method, code: str) -> Schema | None:
        reason = method.reasons.get(code)
        if reason is None or reason.detail is None:
            return None
        return self._schemas.answer(cast(Descriptor, reason.detail.DESCRIPTOR))

    def _problem(self, status: int, codes: list[str], details: Mapping[str, Schema]) -> Schema:
        # Of one code two services may bring different details.
        if len(codes) > 1 or details:
            return _problem(status, codes, details)
        name = f"{codes[0]}_{status}"
        self.components.setdefault(name, _problem(status, codes, details))
        return {"$ref": f"#/components/responses/{name}"}


def _success_statuses(method: Method) -> list[int]:
    policy = method.policy
    if method.output is Empty and policy.success_status == 200:
        return [204]
    return sorted({policy.success_status, *(state.http_status for state in policy.success_states)})


def _success(method: Method, schemas: Schemas, status: int) -> Schema:
    policy, headers = method.policy, _headers()
    if policy.location:
        headers["Location"] = _header("Location")
    if policy.idempotency_field:
        headers["Idempotent-Replayed"] = _header("IdempotentReplayed")
    states = [state.value for state in policy.success_states if state.http_status == status]
    phrase = HTTPStatus(status).phrase
    response: Schema = {"description": f"{phrase}: {', '.join(states)}" if states else phrase, "headers": headers}
    if method.output is not Empty:
        schema = schemas.answer(cast(Descriptor, method.output.DESCRIPTOR))
        response["content"] = {"application/json": {"schema": schema}}
    return response


def _problems(method: Method, identity: str, *, has_body: bool) -> Mapping[int, list[str]]:
    found: defaultdict[int, list[str]] = defaultdict(list)
    closed = method.policy.access is Access.CALLER
    for reason in method.reasons.values():
        if closed or reason.name not in _STANDARD:
            found[reason.http_status].append(reason.name)
    services = {method.service, identity} if closed else {method.service}
    own: dict[int, tuple[str, ...]] = {**_EVERYWHERE, **(_WITH_BODY if has_body else {})}
    own[503] = tuple(f"{service.upper().replace('-', '_')}_UNAVAILABLE" for service in sorted(services))
    for status, codes in own.items():
        found[status].extend(code for code in codes if code not in found[status])
    return found


def _problem(status: int, codes: list[str], details: Mapping[str, Schema]) -> Schema:
    headers = _headers()
    if status in (429, 503):
        headers["Retry-After"] = _header("RetryAfter")
    if status == 401:
        headers["WWW-Authenticate"] = _header("WwwAuthenticate")
    variants = [_variant(status, [code], detail) for code, detail in details.items()]
    if plain := [code for code in codes if code not in details]:
        variants.append(_variant(status, plain))
    return {
        "description": ", ".join(codes),
        "headers": headers,
        "content": {"application/problem+json": {"schema": variants[0] if len(variants) == 1 else {"oneOf": variants}}},
    }


def _variant(status: int, codes: list[str], *details: Schema) -> Schema:
    narrowed = {"properties": {"status": {"const": status}, "code": {"enum": codes}}}
    return {"allOf": [{"$ref": "#/components/schemas/Problem"}, *details, narrowed]}


def _headers() -> dict[str, Schema]:
    return {"X-Request-Id": _header("RequestId"), "traceparent": _header("Traceparent")}


def _header(name: str) -> Schema:
    return {"$ref": f"#/components/headers/{name}"}
