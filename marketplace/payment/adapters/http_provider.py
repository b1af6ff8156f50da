"""A card provider over HTTP, with the key of each request in its `Idempotency-Key` header.

Source: the Stripe API reference, "Idempotent requests".
"""

from typing import Any
from urllib.parse import quote

import orjson

from marketplace.payment.adapters.http_client import HttpClient, NoAnswer, NotSent
from marketplace.payment.adapters.sandbox.cards import face_of
from marketplace.payment.ports import CardFace, ProviderAnswer, ProviderSilent, ProviderUnavailable, Verdict

_NOT_FOUND = 404
_OK = 200


class HttpProvider:
    """Implements `ports.CardProvider`. An answer that takes longer than `timeout` seconds is given up.

    Only an answer that says so means that nothing was done: a 5xx of a proxy in between does not.
    """

    def __init__(self, url: str, timeout: float) -> None:
        self._client = HttpClient(url, timeout)

    async def charge(self, key: str, token: str, amount: int, currency: str) -> ProviderAnswer:
        """POST /v1/charges."""
        body = {"source": token, "amount": amount, "currency": currency}
        return _answer(await self._send("POST", "/v1/charges", body, key))

    async def find(self, key: str) -> ProviderAnswer | None:
        """GET /v1/charges/{key}."""
        found = await self._send("GET", f"/v1/charges/{_path(key)}")
        return None if found is None else _answer(found)

    async def void(self, key: str) -> ProviderAnswer:
        """POST /v1/charges/{key}/void."""
        return _answer(await self._send("POST", f"/v1/charges/{_path(key)}/void"))

    async def refund(self, key: str, charge_key: str, amount: int) -> None:
        """POST /v1/refunds."""
        await self._send("POST", "/v1/refunds", {"charge": charge_key, "amount": amount}, key)

    def face_of(self, token: str) -> CardFace | None:
        """The card behind a token."""
        return face_of(token)

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.close()

    async def _send(self, method: str, path: str, body: Any = None, key: str = "") -> Any:
        headers = {"Idempotency-Key": key} if key else {}
        try:
            content = None if body is None else orjson.dumps(body)
            return _body(method, *await self._client.request(method, path, content, headers))
        except NotSent as error:
            raise ProviderUnavailable("the card provider cannot be reached") from error
        except (NoAnswer, ValueError) as error:
            raise ProviderSilent("the card provider did not answer") from error


def _body(method: str, status: int, content: bytes) -> Any:
    """What was answered; None for what was not found. Raises ValueError for what is no answer of a provider."""
    body = orjson.loads(content)
    if status == _OK:
        return body
    code = body["error"]["code"] if isinstance(body, dict) and isinstance(body.get("error"), dict) else ""
    if method == "GET" and status == _NOT_FOUND and code == "not_found":
        return None
    if code:
        raise ProviderUnavailable(f"the card provider refused: {code}")
    raise ValueError(f"status {status} without a reason")


def _answer(body: Any) -> ProviderAnswer:
    try:
        return ProviderAnswer(Verdict(body["status"]), str(body["reason"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ProviderSilent("the card provider answered with something else") from error


def _path(key: str) -> str:
    return quote(key, safe="")
