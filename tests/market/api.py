"""A client of the public API that checks in every answer what all answers must have."""

import re
import ssl
import time
from collections.abc import Iterator
from functools import cache
from typing import Any
from uuid import uuid4

import httpx

from tests.market import documented

PROBLEM = "application/problem+json"
PATIENCE = 60.0
FRESH = 300.0
"""Seconds for which tests use an access token, which is valid for three times as long."""
_TRACEPARENT = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_CODE = re.compile(r"[A-Z][A-Z0-9_]*")


def check_answer(response: httpx.Response) -> None:
    """Raises AssertionError if an answer lacks what all answers must have."""
    where = f"{response.request.method} {response.request.url.path} -> {response.status_code}"
    assert response.headers.get("x-request-id"), f"{where} has no X-Request-Id"
    assert _TRACEPARENT.fullmatch(response.headers.get("traceparent", "")), f"{where} has no good traceparent"
    assert response.status_code not in (500, 501, 502), f"{where}: {response.read().decode()}"
    if response.status_code >= 400:
        response.read()
        _check_problem(response, where)
    response.read()
    documented.check(response)


def _check_problem(response: httpx.Response, where: str) -> None:
    assert response.headers["content-type"] == PROBLEM, where
    document = response.json()
    assert {"type", "title", "status", "detail", "code", "requestId"} <= document.keys(), f"{where}: {document}"
    assert document["status"] == response.status_code
    assert document["requestId"] == response.headers["x-request-id"]
    assert _CODE.fullmatch(document["code"]), document
    assert document["detail"], where
    for error in document.get("errors", ()):
        assert error.keys() == {"field", "detail"}
        assert error["field"], document
        assert error["detail"], document
    if response.status_code in (429, 503):
        assert int(response.headers["retry-after"]) >= 1, where


@cache
def _tls() -> ssl.SSLContext:
    """Makes what all clients share: httpx would read every authority again for each, which takes 30 ms of CPU."""
    return ssl.create_default_context()


class Api(httpx.Client):
    """A client with an access token or without."""

    def __init__(self, url: str, token: str = "") -> None:
        super().__init__(base_url=url, timeout=PATIENCE, verify=_tls(), event_hooks={"response": [check_answer]})
        self.become(token)

    def become(self, token: str) -> None:
        """Sends this access token from now on; none if it is empty."""
        self.token, self._since = token, time.monotonic()
        if token:
            self.headers["authorization"] = f"Bearer {token}"

    @property
    def is_fresh(self) -> bool:
        """Whether the access token is young enough to be used for some minutes."""
        return time.monotonic() - self._since < FRESH

    def ok(self, method: str, path: str, status: int = 200, **arguments: Any) -> Any:
        """Gives the JSON body of an answer, which must have this status; None for an empty one."""
        response = self.request(method, path, **arguments)
        assert response.status_code == status, f"{method} {path} -> {response.status_code} {response.text}"
        return response.json() if response.content else None

    def problem(self, status: int, code: str, method: str, path: str, **arguments: Any) -> dict[str, Any]:
        """Gives the problem document of an answer, which must have this status and code."""
        return refused(self.request(method, path, **arguments), status, code)

    def invalid(self, field: str, method: str, path: str, **arguments: Any) -> dict[str, Any]:
        """Gives the problem document of an answer, which must be a 400 that names this field."""
        document = self.problem(400, "INVALID_REQUEST", method, path, **arguments)
        fields = [error["field"] for error in document["errors"]]
        assert field in fields, f"{method} {path} names {fields}, not {field}: {document['detail']}"
        return document

    def pages(self, path: str, size: int, **query: Any) -> Iterator[list[dict[str, Any]]]:
        """Yields the pages of a list."""
        token: dict[str, str] = {}
        while True:
            body = self.ok("GET", path, params={**query, "pageSize": size, **token})
            rows = rows_of(body)
            assert len(rows) <= size
            yield rows
            if "nextPageToken" not in body:
                return
            token = {"pageToken": body["nextPageToken"]}
            assert re.fullmatch(r"[A-Za-z0-9_.~-]+", token["pageToken"]), "a page token is URL-safe"


def rows_of(page: dict[str, Any]) -> list[dict[str, Any]]:
    """Gives the rows of a page of a list."""
    (name,) = page.keys() - {"nextPageToken", "facets", "suggestions"}
    rows: list[dict[str, Any]] = page[name]
    return rows


def refused(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """Gives the problem document of a refusal, which must have this status and code."""
    document: dict[str, Any] = response.json()
    got = (response.status_code, document.get("code"))
    assert got == (status, code), f"{response.request.method} {response.request.url.path} -> {response.text}"
    return document


def log_in(url: str, email: str, password: str) -> Api:
    """Makes a client with a new token."""
    with Api(url) as api:
        token = api.ok("POST", "/api/v1/auth/token", json={"email": email, "password": password})
    return Api(url, token["accessToken"])


def new_key() -> str:
    """Makes an idempotency key."""
    return f"key-{uuid4()}"


def wish(*lines: tuple[str, int, int], address: str = "ADDR-55", method: str = "card", key: str = "") -> dict[str, Any]:
    """Makes the body of an order; a line is a product, a quantity and a price."""
    return {
        "items": [{"productId": product, "quantity": quantity, "price": price} for product, quantity, price in lines],
        "shippingAddressId": address,
        "paymentMethod": method,
        "idempotencyKey": key or new_key(),
    }
