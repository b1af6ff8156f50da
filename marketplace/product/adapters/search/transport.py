"""A request to a search engine and its answer, whichever client sends it."""

from collections.abc import Mapping
from ssl import SSLError
from typing import Any, Protocol

from marketplace.product.ports import SearchUnavailable

UNREACHABLE, TIMEOUT, UNHEALTHY, FULL, REFUSED, NO_INDEX = (
    "unreachable", "timeout", "unhealthy", "disk-full", "refused", "no-index"
)  # fmt: skip
"""The reasons of SearchUnavailable."""

_REDIRECTED, _MISSING, _TOO_MANY, _FAILED = 400, 404, 429, 500
_REFUSED = frozenset({401, 403})
_FULL = frozenset({"cluster_block_exception", "disk_usage_exceeded_exception"})


class EngineRefusal(Exception):
    """The engine answered a request with an error: its status, its type and its text."""

    def __init__(self, status: int, kind: str, detail: str) -> None:
        super().__init__(f"{kind}: {detail}")
        self.status, self.kind, self.detail = status, kind, detail


class EngineTransport(Protocol):
    """Sends requests with an official client. It neither retries nor waits for longer than `timeout` seconds."""

    name: str

    async def send(self, method: str, path: str, body: Any = None, *, timeout: float) -> Any:
        """Returns the answer's JSON; `body` is a JSON value, or bytes of lines of JSON.

        Raises SearchUnavailable when there is no answer, and EngineRefusal for an answer that is an error.
        """
        ...

    async def close(self) -> None:
        """Closes the connections."""
        ...


def refusal(status: int, info: object) -> EngineRefusal:
    """Makes the refusal of an error's body."""
    error = info.get("error") if isinstance(info, Mapping) else None
    if not isinstance(error, Mapping):
        return EngineRefusal(status, "error", str(error or info)[:500])
    causes = error.get("root_cause") or [error]
    cause = causes[0] if isinstance(causes, list) and isinstance(causes[0], Mapping) else error
    return EngineRefusal(status, str(cause.get("type") or error.get("type")), str(cause.get("reason") or "")[:500])


def unreachable(error: BaseException) -> SearchUnavailable:
    """Makes what a connection that could not be made means; it says so if the engine's certificate is not trusted."""
    why, cause = "the search engine cannot be reached", error.__cause__ or error.__context__
    while cause is not None:
        if isinstance(cause, SSLError):  # the last one is that of `ssl` itself
            why = f"the search engine cannot be reached by TLS: {cause}"[:300]
            if message := getattr(cause, "verify_message", ""):
                why = f"the certificate of the search engine is not trusted: {message}"
        cause = cause.__cause__ or cause.__context__
    return SearchUnavailable(UNREACHABLE, why)


def unavailable(error: EngineRefusal) -> SearchUnavailable | None:
    """Returns what an error means when it may pass by itself; None when it says that the request is wrong."""
    if error.kind in _FULL:
        return SearchUnavailable(FULL, f"the search engine takes no writes: {error}")
    if error.status in _REFUSED:
        return SearchUnavailable(REFUSED, f"the search engine refuses us: {error}")
    if error.status == _MISSING:
        return SearchUnavailable(NO_INDEX, f"the search engine has no index of products: {error}")
    if error.status == _TOO_MANY or error.status >= _FAILED or error.status < _REDIRECTED:
        return SearchUnavailable(UNHEALTHY, f"the search engine failed: {error}")
    return None
