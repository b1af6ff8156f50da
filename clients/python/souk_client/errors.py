"""The errors of the client.

ClientError
├── ApiError    the API refused the request, or failed
└── NoAnswer    no answer arrived
"""

from collections.abc import Mapping
from typing import Any


class ClientError(Exception):
    """A request had no success. `request_id` names it in the server's log; `tries` is how often it was sent."""

    def __init__(self, text: str, request_id: str, tries: int) -> None:
        self.request_id, self.tries = request_id, tries
        super().__init__(text)


class ApiError(ClientError):
    """The API answered with a status of 400 or above, as a rule with a problem document (RFC 9457).

    `code` is stable, such as `OUT_OF_STOCK`; it is empty when something in between answered. `problem` has all members
    of the document; `retry_after` is in seconds, None if the answer does not say.
    """

    def __init__(
        self, request: str, status: int, problem: Mapping[str, Any], request_id: str, tries: int,
        retry_after: float | None,
    ) -> None:  # fmt: skip
        self.status, self.problem, self.retry_after = status, problem, retry_after
        self.code, self.detail = str(problem.get("code", "")), str(problem.get("detail", ""))
        super().__init__(f"{request} answered {status} {self.code} {self.detail}".strip(), request_id, tries)


class NoAnswer(ClientError):
    """No answer arrived: no connection, one that broke, or the time was up.

    `maybe_done` says whether the request may have been carried out all the same; its key then tells it apart.
    """

    def __init__(self, text: str, request_id: str, tries: int, *, maybe_done: bool) -> None:
        self.maybe_done = maybe_done
        super().__init__(text, request_id, tries)
