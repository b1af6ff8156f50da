"""The answers of an operation in OpenAPI: its successes by state, its refusals, and the gateway's own errors."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, cast

from google.protobuf.descriptor import Descriptor
from google.protobuf.empty_pb2 import Empty

from souk.descriptors.contract import Access, Method
from souk.descriptors.http_rule import HttpRule
from souk.descriptors.http_shape import has_raw_answer
from souk.descriptors.openapi.examples import Examples
from souk.descriptors.openapi.gateway_codes import CODES, unavailable
from souk.descriptors.openapi.gateway_operation import GatewayOperation
from souk.descriptors.openapi.json_schema import Schema, Schemas
from souk.descriptors.openapi.problems import Problems
from souk.descriptors.protojson.writer import dumps

HEADERS: Mapping[str, Schema] = {
    "RequestId": {
        "description": "The client's own, if it sent a valid one.",
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
    "RateLimit": {
        "description": "What is left of each rate limit (draft-ietf-httpapi-ratelimit-headers-11).",
        "schema": {"type": "string"},
        "example": '"reads";r=299;t=1',
    },
    "RateLimitPolicy": {
        "description": "The rate limits (draft-ietf-httpapi-ratelimit-headers-11).",
        "schema": {"type": "string"},
        "example": '"reads";q=1200;w=60',
    },
    "WwwAuthenticate": {"description": "RFC 6750.", "schema": {"type": "string"}, "required": True},
}

_EVERYWHERE = {
    414: ("URI_TOO_LONG",),
    429: ("RATE_LIMITED",),
    431: ("HEADERS_TOO_LARGE",),
    500: ("INTERNAL",),
    504: ("DEADLINE_EXCEEDED",),
}
_OF_ANY_REQUEST = ("URI_TOO_LONG", "HEADERS_TOO_LARGE", "INTERNAL")
_WITH_BODY = {408: ("REQUEST_TIMEOUT",), 413: ("BODY_TOO_LARGE",), 415: ("UNSUPPORTED_MEDIA_TYPE",)}
_LINES = ("application/x-ndjson", "application/jsonl")
"""The media types of a stream of replies, one a line: the schema is that of a line."""
_STANDARD = {"UNAUTHENTICATED", "FORBIDDEN"}


class Responses:
    """Writes the answers of operations; problems that several operations share become components."""

    def __init__(self, schemas: Schemas, examples: Examples, identity: str) -> None:
        self.components: dict[str, Schema] = {}
        self.problems = Problems(schemas, examples)
        self._schemas, self._examples, self._identity = schemas, examples, identity

    def of(self, method: Method, rule: HttpRule, *, limited: bool) -> dict[str, Any]:
        """Returns every answer that a method can have by one rule, by status.

        `limited` says that rate limits hold for it.
        """
        found = {str(status): self._success(method, rule, status) for status in _success_statuses(method)}
        for status, codes in sorted(_problems(method, self._identity, has_body=bool(rule.body)).items()):
            found[str(status)] = self._problem(method, status, codes)
        if limited:
            self._show_limits(found[str(status)] for status in (*_success_statuses(method), 429))
        return found

    def of_gateway(self, operation: GatewayOperation, *, limited: bool) -> dict[str, Any]:
        """Returns every answer of an operation of the gateway, by status, as `of` does those of a method."""
        found: dict[str, Any] = {}
        for shown, answer in operation.answers.items():
            found[shown] = {**answer, "headers": {**_headers(), **answer.get("headers", {})}}
        if limited:
            self._show_limits(list(found.values()))
        for status, codes in sorted(_gateway_problems(operation, limited=limited).items()):
            problem = self._problem(operation.method, status, codes)
            if str(status) in found:  # an answer that is no problem document has the same status
                problem = self.components[problem["$ref"].rpartition("/")[2]] if "$ref" in problem else problem
                both = {**found[str(status)].get("content", {}), **problem["content"]}
                problem = {**problem, "content": both}
            found[str(status)] = problem
        if limited:
            self._show_limits([found["429"]])
        return found

    def _show_limits(self, answers: Iterable[Schema]) -> None:
        for answer in answers:
            shown = self.components[answer["$ref"].rpartition("/")[2]] if "$ref" in answer else answer
            shown["headers"] |= {"RateLimit": _header("RateLimit"), "RateLimit-Policy": _header("RateLimitPolicy")}

    def _problem(self, method: Method, status: int, codes: list[str]) -> Schema:
        response = _problem(status, codes, self.problems.content(method, status, codes))
        # Two services may give different details with the same code.
        if len(codes) > 1 or ((reason := method.reasons.get(codes[0])) and reason.detail is not None):
            return response
        name = f"{codes[0]}_{status}"
        self.components.setdefault(name, response)
        return {"$ref": f"#/components/responses/{name}"}

    def _success(self, method: Method, rule: HttpRule, status: int) -> Schema:
        policy, headers = method.policy, _headers()
        if policy.location:
            headers["Location"] = _header("Location")
        if policy.idempotency_field:
            headers["Idempotent-Replayed"] = _header("IdempotentReplayed")
        for name, meaning in policy.response_headers.items():
            headers[name] = {"description": meaning, "schema": {"type": "string"}}
        states = [state.value for state in policy.success_states if state.http_status == status]
        phrase = HTTPStatus(status).phrase
        response: Schema = {"description": f"{phrase}: {', '.join(states)}" if states else phrase, "headers": headers}
        if method.output is not Empty:
            response["content"] = self._content(method, rule, status)
        return response

    def _content(self, method: Method, rule: HttpRule, status: int) -> Schema:
        if has_raw_answer(method, rule):
            return {"*/*": {"schema": {}}}
        content = self._shown(method, rule, status)
        if not method.server_streaming:
            return {"application/json": content}
        events = {"schema": {"type": "string"}, "example": f"data: {dumps(content['example']).decode()}\n\n"}
        return {**dict.fromkeys(_LINES, content), "text/event-stream": events}

    def _shown(self, method: Method, rule: HttpRule, status: int) -> Schema:
        message = cast(Descriptor, method.output.DESCRIPTOR)
        if rule.response_body:
            part = message.fields_by_name[rule.response_body]
            return {"schema": self._schemas.field(part, request=False), "example": self._examples.value(part)}
        example = self._examples.of(message)
        for state in method.policy.success_states:
            if state.http_status == status:
                example[state.field] = state.value
        return {"schema": self._schemas.answer(message), "example": example}


def _success_statuses(method: Method) -> list[int]:
    policy = method.policy
    if method.output is Empty and policy.success_status == 200:
        return [204]
    return sorted({policy.success_status, *(state.http_status for state in policy.success_states)})


def _problems(method: Method, identity: str, *, has_body: bool) -> Mapping[int, list[str]]:
    found: defaultdict[int, list[str]] = defaultdict(list)
    closed = method.policy.access is Access.CALLER
    for reason in method.reasons.values():
        if closed or reason.name not in _STANDARD:
            found[reason.http_status].append(reason.name)
    services = {method.service, identity} if closed else {method.service}
    own: dict[int, tuple[str, ...]] = {**_EVERYWHERE, **(_WITH_BODY if has_body else {})}
    own[503] = (*(unavailable(service)[0] for service in sorted(services)), "OVERLOADED")
    for status, codes in own.items():
        found[status].extend(code for code in codes if code not in found[status])
    return found


def _gateway_problems(operation: GatewayOperation, *, limited: bool) -> Mapping[int, list[str]]:
    found: defaultdict[int, list[str]] = defaultdict(list)
    for reason in operation.method.reasons.values():
        if operation.security or reason.name not in _STANDARD:
            found[reason.http_status].append(reason.name)
    for code in (*_OF_ANY_REQUEST, *(("RATE_LIMITED",) if limited else ()), *operation.codes):
        found[CODES[code].status].append(code)
    found[503].extend(unavailable(service)[0] for service in operation.unavailable)
    return {status: codes for status, codes in found.items() if codes}


def _problem(status: int, codes: list[str], content: Schema) -> Schema:
    headers = _headers()
    if status in (429, 503):
        headers["Retry-After"] = _header("RetryAfter")
    if status == 401:
        headers["WWW-Authenticate"] = _header("WwwAuthenticate")
    return {"description": ", ".join(codes), "headers": headers, "content": content}


def _headers() -> dict[str, Schema]:
    return {"X-Request-Id": _header("RequestId"), "traceparent": _header("Traceparent")}


def _header(name: str) -> Schema:
    return {"$ref": f"#/components/headers/{name}"}
