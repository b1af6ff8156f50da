"""A client of a card provider over HTTP; each request carries its key in the `Idempotency-Key` header.

Source: the Stripe API reference, "Idempotent requests".
"""

from typing import Any
from urllib.parse import quote

import orjson

from marketplace.payment.adapters.api_key import ApiKey
from marketplace.payment.adapters.sandbox.cards import face_of
from marketplace.payment.ports import (
    CardFace,
    ProviderAnswer,
    ProviderCharge,
    ProviderRefused,
    ProviderSilent,
    ProviderUnavailable,
    RefundVerdict,
    Verdict,
)
from souk.sdk import HttpClient, NoAnswer, NotSent

NOTHING_WAS_DONE = frozenset(
    {"invalid_request", "invalid_token", "key_reused", "not_found", "not_refundable", "provider_error", "unauthorized"}
)
"""The provider's codes for refused requests. Any other answer, such as one of a proxy between, proves nothing."""
_UNAUTHORIZED = 401
_NOT_FOUND = 404
_OK = 200


class HttpProvider:
    """Implements `ports.CardProvider` over HTTP. A call without an answer after `timeout` seconds is given up.

    Only an answer with one of the codes NOTHING_WAS_DONE means that nothing was done.
    """

    def __init__(self, url: str, timeout: float, api_key: ApiKey | None = None) -> None:
        self._client = HttpClient(url, timeout)
        self._api_key = api_key or ApiKey()

    async def charge(self, key: str, token: str, amount: int, currency: str, customer: str = "") -> ProviderAnswer:
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

    async def refund(self, key: str, charge_key: str, amount: int) -> RefundVerdict:
        """POST /v1/refunds."""
        return _refund(await self._send("POST", "/v1/refunds", {"charge": charge_key, "amount": amount}, key))

    async def find_refund(self, key: str) -> RefundVerdict | None:
        """GET /v1/refunds/{key}."""
        found = await self._send("GET", f"/v1/refunds/{_path(key)}")
        return None if found is None else _refund(found)

    async def charges(self, after: str, limit: int) -> list[ProviderCharge]:
        """GET /v1/charges."""
        return _charges(await self._send("GET", f"/v1/charges?starting_after={_path(after)}&limit={limit}"))

    def face_of(self, token: str) -> CardFace | None:
        """Returns the brand and last digits behind a token."""
        return face_of(token)

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.close()

    async def _send(self, method: str, path: str, body: Any = None, key: str = "") -> Any:
        headers = self._api_key.headers()
        if key:
            headers = {**headers, "Idempotency-Key": key}
        try:
            content = None if body is None else orjson.dumps(body)
            status, answer = await self._client.request(method, path, content, headers)
            if status == _UNAUTHORIZED:
                self._api_key.refused()
            return _body(method, status, answer)
        except NotSent as error:
            raise ProviderUnavailable("the card provider cannot be reached") from error
        except (NoAnswer, ValueError) as error:
            raise ProviderSilent("the card provider did not answer") from error


def _body(method: str, status: int, content: bytes) -> Any:
    """Returns the body of an answer; None for "not found". Raises ValueError for an answer that is not a provider's."""
    body = orjson.loads(content)
    if status == _OK:
        return body
    code = _code(body)
    if method == "GET" and status == _NOT_FOUND and code == "not_found":
        return None
    if code in NOTHING_WAS_DONE:
        raise ProviderRefused(f"the card provider refused: {code}")
    raise ValueError(f"status {status} without a reason that is known")


def _code(body: Any) -> str:
    error = body.get("error") if isinstance(body, dict) else None
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, str) else ""


def _answer(body: Any) -> ProviderAnswer:
    try:
        return ProviderAnswer(Verdict(body["status"]), str(body["reason"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ProviderSilent("the card provider sent an answer that cannot be read") from error


def _refund(body: Any) -> RefundVerdict:
    try:
        return RefundVerdict(body["status"])
    except (KeyError, TypeError, ValueError) as error:
        raise ProviderSilent("the card provider sent an answer that cannot be read") from error


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise TypeError("not a whole number")
    return value


def _charges(body: Any) -> list[ProviderCharge]:
    try:
        return [
            ProviderCharge(
                key=str(one["key"]),
                amount=_whole(one["amount"]),
                currency=str(one["currency"]),
                verdict=Verdict(one["status"]),
                refunded=_whole(one["refunded"]),
            )
            for one in body["charges"]
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise ProviderSilent("the card provider sent an answer that cannot be read") from error


def _path(key: str) -> str:
    return quote(key, safe="")
