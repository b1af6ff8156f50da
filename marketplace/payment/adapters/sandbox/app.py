"""The sandbox bank over HTTP: a bare ASGI application.

    POST /v1/charges             Idempotency-Key; {source, amount, currency} -> {status, reason}
    GET  /v1/charges/{key}       -> {status, reason}; 404
    POST /v1/charges/{key}/void  -> {status, reason}
    GET  /v1/charges?starting_after=KEY&limit=N -> {charges: [{key, amount, currency, status, refunded}]}
    POST /v1/refunds             Idempotency-Key; {charge, amount} -> {status}
    GET  /v1/refunds/{key}       -> {status}; 404

Each request carries the bank's API key: `Authorization: Bearer KEY`. A refusal is answered with
{error: {code}}, and means that nothing was done.
"""

import asyncio
import hmac
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qsl, unquote

from marketplace.payment.adapters.sandbox.bank import BankRefusal, SandboxBank
from marketplace.payment.ports import ProviderAnswer, ProviderCharge, RefundVerdict

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Reply = tuple[int, dict[str, Any]]

_STATUS = {"provider_error": 503, "key_reused": 409, "not_found": 404, "unauthorized": 401}
_LONGEST_BODY = 65_536
LONGEST_PAGE = 100
"""The most charges in one answer."""


class SandboxApp:
    """Serves one bank to clients that have its API key."""

    def __init__(self, bank: SandboxBank, api_key: str) -> None:
        self._bank = bank
        self._authorization = f"Bearer {api_key}".encode("ascii")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request, unless its client disconnects first."""
        body = await _read(receive)
        answering = asyncio.ensure_future(self._reply(scope, body))
        leaving = asyncio.ensure_future(_left(receive))
        try:
            await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if answering.done():
                await _write(send, *answering.result())
        finally:
            answering.cancel()
            leaving.cancel()

    async def _reply(self, scope: Scope, body: bytes) -> Reply:
        try:
            return 200, await self._route(scope, body)
        except BankRefusal as refusal:
            return _STATUS.get(refusal.code, 400), {"error": {"code": refusal.code}}
        except (ValueError, KeyError, TypeError):
            return 400, {"error": {"code": "invalid_request"}}

    async def _route(self, scope: Scope, body: bytes) -> dict[str, Any]:
        given = dict(scope["headers"]).get(b"authorization", b"")
        if not hmac.compare_digest(given, self._authorization):
            raise BankRefusal("unauthorized")
        parts = [unquote(part) for part in scope["raw_path"].decode().split("/")[1:]]
        match scope["method"], parts:
            case "POST", ["v1", "charges"]:
                wish = json.loads(body)
                charge = self._bank.charge(_key(scope), wish["source"], _amount(wish), wish["currency"])
                return _body(await charge)
            case "GET", ["v1", "charges"]:
                return {"charges": [_shown(one) for one in await self._bank.charges(*_page(scope))]}
            case "GET", ["v1", "charges", key]:
                return _body(await self._bank.find(key))
            case "POST", ["v1", "charges", key, "void"]:
                return _body(await self._bank.void(key))
            case "POST", ["v1", "refunds"]:
                wish = json.loads(body)
                return _refund(await self._bank.refund(_key(scope), wish["charge"], _amount(wish)))
            case "GET", ["v1", "refunds", key]:
                return _refund(await self._bank.find_refund(key))
            case _:
                raise BankRefusal("not_found")


def _body(answer: ProviderAnswer | None) -> dict[str, Any]:
    if answer is None:
        raise BankRefusal("not_found")
    return {"status": answer.verdict.value, "reason": answer.reason}


def _refund(verdict: RefundVerdict | None) -> dict[str, Any]:
    if verdict is None:
        raise BankRefusal("not_found")
    return {"status": verdict.value}


def _shown(charge: ProviderCharge) -> dict[str, Any]:
    return {
        "key": charge.key,
        "amount": charge.amount,
        "currency": charge.currency,
        "status": charge.verdict.value,
        "refunded": charge.refunded,
    }


def _page(scope: Scope) -> tuple[str, int]:
    query = dict(parse_qsl(scope["query_string"].decode("ascii"), keep_blank_values=True))
    return query.get("starting_after", ""), min(max(int(query.get("limit", LONGEST_PAGE)), 1), LONGEST_PAGE)


def _key(scope: Scope) -> str:
    headers: dict[bytes, bytes] = dict(scope["headers"])
    return headers[b"idempotency-key"].decode("ascii")


def _amount(wish: dict[str, Any]) -> int:
    amount = wish["amount"]
    if type(amount) is not int or amount < 1:
        raise ValueError("an amount is a whole number above zero")
    return amount


async def _read(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False) and len(body) <= _LONGEST_BODY
    return body


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _write(send: Send, status: int, body: dict[str, Any]) -> None:
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(body).encode()})
