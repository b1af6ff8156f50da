"""A small client of the public API for benches: JSON over one kept-alive connection, and each request sent once."""

import json
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

from souk.sdk import ConfigurationError, SoukError

TIMEOUT = 15.0


class RefusedByApi(SoukError):
    """The API answered with a status of 400 or above, as a rule with a problem document (RFC 9457)."""

    def __init__(self, method: str, path: str, status: int, problem: dict[str, Any]) -> None:
        self.status = status
        self.code = str(problem.get("code", ""))
        self.detail = str(problem.get("detail", ""))
        super().__init__(f"{method} {path} answered {status} {self.code} {self.detail}".strip())


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP response: status, headers by lower-case name, and the JSON body."""

    status: int
    headers: dict[str, str]
    body: dict[str, Any]


@dataclass(slots=True)
class Client:
    """Calls the API at `url`, with a bearer token once `token` is set."""

    url: str
    token: str = ""
    _connection: HTTPConnection | None = field(default=None, repr=False)

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Answer:
        """Sends one request and returns its response.

        Raises RefusedByApi for a status of 400 or above, and ConfigurationError when no server answers at the URL.
        """
        headers = {"Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        try:
            connection = self._open()
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            text = response.read()
        except (OSError, HTTPException) as error:
            raise ConfigurationError(
                f"no system responds at {self.url} ({error}); start one with `souk up --demo`, or give its --url"
            ) from None
        answer = Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, _object(text))
        if answer.status >= 400:
            raise RefusedByApi(method, path, answer.status, answer.body)
        return answer

    def _open(self) -> HTTPConnection:
        if self._connection is None:
            parts = urlsplit(self.url)
            kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
            if parts.scheme not in {"http", "https"} or not parts.hostname:
                raise ConfigurationError(f"{self.url!r} is not the URL of a system, such as http://127.0.0.1:8080")
            self._connection = kind(parts.hostname, parts.port, timeout=TIMEOUT)
        return self._connection

    def close(self) -> None:
        """Closes the connection."""
        if self._connection is not None:
            self._connection.close()


def _object(text: bytes) -> dict[str, Any]:
    try:
        found = json.loads(text or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
