"""Buyers of a chaos run: each does one thing after the other, asks until it has a definite answer, and keeps every
answer."""

import asyncio
import random
import time
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.chaos.history import NOTHING, Answer, History, Operation
from tests.market.api import check_answer
from tests.market.shop import Buyer, Shop

ORDERS, TOP_UP = "/api/v1/orders", "/api/v1/wallet:topUp"
PATIENCE, IMPATIENCE = 15.0, 0.15
"""Seconds that a client waits for an answer; an impatient one goes away in the midst."""
PAUSE = 0.25
FAILING_TRIES = 3
"""Tries with the card that fails at the bank for ever."""
CARDS = {
    "tok_visa": 70,
    "tok_error": 10,
    "tok_declined": 6,
    "tok_insufficient_funds": 4,
    "tok_slow": 6,
    "tok_timeout": 4,
}
ACTIONS = {"order by card": 50, "order by wallet": 14, "top up": 14, "cancel": 10, "refund": 6, "scarce": 6}
TOP_UPS = (5_000, 10_000, 20_000)


@dataclass
class Market:
    """What all clients share: the shop, its products, and the admin who refunds."""

    shop: Shop
    products: list[tuple[str, int]]
    scarce: tuple[str, int]

    @property
    def admin(self) -> str:
        """The access token of an admin."""
        return self.shop.admin.token


@dataclass
class Client:
    """One buyer. `methods` are saved cards, by token."""

    name: str
    buyer: Buyer
    market: Market
    history: History
    chance: random.Random
    methods: dict[str, str]
    stop: asyncio.Event
    _count: int = 0
    _orders: list[Operation] = field(default_factory=list)

    async def work(self, http: httpx.AsyncClient) -> None:
        """Does one operation after the other until the run is over; returns with none unfinished."""
        while not self.stop.is_set():
            await self._act(http)
            await asyncio.sleep(self.chance.uniform(0.0, 0.1))

    async def finish(self, http: httpx.AsyncClient, limit: float) -> None:
        """Asks again for each operation without a definite answer, until it has one."""
        until = time.monotonic() + limit
        for operation in self.history.operations:
            if operation.client == self.name and operation.end is None and operation.card != "tok_error":
                await self._insist(http, operation, until)

    async def _act(self, http: httpx.AsyncClient) -> None:
        action = self.chance.choices(list(ACTIONS), list(ACTIONS.values()))[0]
        card = self.chance.choices(list(CARDS), list(CARDS.values()))[0]
        match action:
            case "order by card":
                await self._order(http, self.methods[card], card)
            case "order by wallet":
                await self._order(http, "wallet", "")
            case "scarce":
                await self._order(http, self.methods["tok_visa"], "tok_visa", scarce=True)
            case "top up":
                body = {"amount": self.chance.choice(TOP_UPS), "currency": "EUR", "cardToken": card}
                await self._do(http, "top-up", TOP_UP, body, card)
            case "cancel":
                await self._change(http, "cancel")
            case _:
                await self._change(http, "refund")

    async def _order(self, http: httpx.AsyncClient, method: str, card: str, scarce: bool = False) -> None:
        product, price = self.market.scarce if scarce else self.chance.choice(self.market.products)
        quantity = self.chance.randint(1, 3)
        body = self.buyer.wish((product, quantity, price), method=method)
        operation = await self._do(http, "order", ORDERS, body, card)
        if operation.succeeded:
            self._orders.append(operation)

    async def _change(self, http: httpx.AsyncClient, kind: str) -> None:
        """Cancels one of its orders, or has an admin refund a part of it; changes each order once."""
        if not self._orders:
            return
        order = self._orders.pop(self.chance.randrange(len(self._orders)))
        assert order.end is not None
        told = order.end.body
        if kind == "cancel":
            await self._do(http, kind, f"{ORDERS}/{told['id']}:cancel", {}, "")
        else:
            body = {"amount": max(1, told["total"] // 3), "reason": "a scratch"}
            await self._do(http, kind, f"/api/v1/payments/{told['paymentId']}:refund", body, "")

    async def _do(self, http: httpx.AsyncClient, kind: str, path: str, body: dict[str, Any], card: str) -> Operation:
        self._count += 1
        key = str(body.get("idempotencyKey") or f"{self.name}-{self._count}")
        keyed = body if kind == "cancel" else {**body, "idempotencyKey": key}
        operation = Operation(self.name, kind, key, path, keyed, card)
        self.history.operations.append(operation)
        manner = self.chance.random()
        if manner < 0.1:
            await self._ask(http, operation, IMPATIENCE)
        elif manner < 0.2 and kind != "cancel":
            await asyncio.gather(*(self._ask(http, operation) for _ in range(2)))
        await self._insist(http, operation, time.monotonic() + 60.0, at_least_once=manner >= 0.2)
        return operation

    async def _insist(
        self, http: httpx.AsyncClient, operation: Operation, until: float, at_least_once: bool = False
    ) -> None:
        """Asks until a definite answer comes, the run is over, or the time limit has passed."""
        while at_least_once or (operation.end is None and time.monotonic() < until):
            at_least_once = False
            await self._ask(http, operation)
            if operation.end is not None or _hopeless(operation):
                return
            await asyncio.sleep(PAUSE)

    async def _ask(self, http: httpx.AsyncClient, operation: Operation, patience: float = PATIENCE) -> None:
        token = self.market.admin if operation.kind == "refund" else self.buyer.token
        headers = {"authorization": f"Bearer {token}"}
        at = time.monotonic()
        try:
            response = await http.post(operation.path, json=operation.body, headers=headers, timeout=patience)
        except httpx.TransportError as error:
            operation.answers.append(Answer(at, time.monotonic() - at, NOTHING, type(error).__name__, {}))
            return
        took = time.monotonic() - at
        try:
            check_answer(response)
            body = response.json()
        except (AssertionError, ValueError) as error:
            self.history.wrong.append(f"{operation.kind} {operation.key}: {error}")
            body = {}
        code = str(body.get("code") or body.get("status") or "")
        operation.answers.append(Answer(at, took, response.status_code, code, body))


def _hopeless(operation: Operation) -> bool:
    """Whether the bank always refuses the operation's card, and has done so often enough."""
    return operation.card == "tok_error" and len(operation.answers) >= FAILING_TRIES


async def read_catalogue(http: httpx.AsyncClient, history: History, stop: asyncio.Event, product: str) -> None:
    """Reads a product ten times a second until the run is over."""
    while not stop.is_set():
        at = time.monotonic()
        try:
            response = await http.get(f"/api/v1/products/{product}", timeout=5.0)
            status, code = response.status_code, "" if response.status_code == 200 else response.text[:200]
            check_answer(response)
        except httpx.TransportError as error:
            status, code = NOTHING, type(error).__name__
        except AssertionError as error:
            history.wrong.append(f"read: {error}")
        history.reads.append(Answer(at, time.monotonic() - at, status, code, {}))
        await asyncio.sleep(0.1)
