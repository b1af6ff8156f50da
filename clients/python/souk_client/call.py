"""A call as an HTTP request, and its answers as values or errors: what both clients share."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx

from souk_client.errors import ApiError, NoAnswer
from souk_client.retries import SAFE, Failure, failure_of

AGENT = "souk-client/0.1.0"
_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


def segment(value: object) -> str:
    """Returns a value as one segment of a path."""
    return quote(str(value), safe="")


def keyed(body: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Returns the body with an idempotency key in the field `name`: its own, or a new one."""
    return {**body, name: body.get(name) or str(uuid4())}


@dataclass(frozen=True, slots=True)
class Call:
    """One call, which all its tries share. `repeatable` says that a second time does no harm."""

    method: str
    path: str
    body: Any = None
    query: Mapping[str, object] = field(default_factory=dict)
    repeatable: bool = False
    request_id: str = field(default_factory=lambda: uuid4().hex)

    @property
    def may_repeat(self) -> bool:
        """Whether it may be sent again when it is not known what became of it."""
        return self.repeatable or self.method in SAFE

    def request(self, http: httpx.Client | httpx.AsyncClient, url: str, headers: Mapping[str, str]) -> httpx.Request:
        """Makes the request of a try: the same each time."""
        own = {"Accept": "application/json", "User-Agent": AGENT, "X-Request-Id": self.request_id, **headers}
        content = None
        if self.body is not None:
            content, own["Content-Type"] = json.dumps(self.body, allow_nan=False).encode(), "application/json"
        asked = {name: _in_query(value) for name, value in self.query.items() if value is not None}
        return http.build_request(self.method, url + self.path, params=asked or None, content=content, headers=own)

    def refused(self, response: httpx.Response, tries: int) -> ApiError:
        """Returns the error for an answer that is no success, and was read."""
        problem = _json(response)
        problem = problem if isinstance(problem, dict) else {}
        named = str(problem.get("requestId") or response.headers.get("x-request-id") or self.request_id)
        where, after = f"{self.method} {self.path}", retry_after(response.headers.get("retry-after"))
        return ApiError(where, response.status_code, problem, named, tries, after)

    def unanswered(self, error: Exception, tries: int) -> NoAnswer:
        """Returns the error for a try that got no answer."""
        text = f"{self.method} {self.path} got no answer: {str(error) or type(error).__name__}"
        return NoAnswer(text, self.request_id, tries, maybe_done=failure_in(error) is Failure.UNKNOWN)


def value_of(response: httpx.Response) -> Any:
    """Returns the JSON of a successful answer; None if it has no body."""
    return _json(response) if response.content else None


def failure_by(error: ApiError) -> Failure:
    """Returns what a refusal tells."""
    return failure_of(error.status, error.code)


def failure_in(error: Exception) -> Failure:
    """Returns what is known when no answer arrived: nothing, unless there was no connection."""
    return Failure.NOTHING_DONE if isinstance(error, _NEVER_SENT) else Failure.UNKNOWN


def retry_after(value: str | None) -> float | None:
    """Reads Retry-After, which is in seconds or a date (RFC 9110, 10.2.3); None if it is neither."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max((date.astimezone(UTC) - datetime.now(UTC)).total_seconds(), 0.0)


def _in_query(value: object) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return [_in_query(one) for one in value] if isinstance(value, list | tuple) else str(value)


def _json(response: httpx.Response) -> Any:
    try:
        return json.loads(response.content)
    except ValueError:
        return None
