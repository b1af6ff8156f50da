"""A crowd of buyers who order at once, and do not give up: load for tests, with every answer kept.

    with Crowd(shop.url, Wishes(accounts, lines), clients=8) as crowd:         each one order after the other
    with Crowd(shop.url, wishes, clients=8, per_second=15) as crowd:           all of them at most so many
        crowd.answers                 what came back so far
    crowd.answers                     all of it: nobody waits any more

There is no crowd that orders at a rate whatever becomes of its orders: a busy machine would be overloaded by it, and
refuse some. The gateway lets 16 requests run however busy it is; fewer clients are never too many for it.

Each wish has its own key. Whoever hears 202, 409 REQUEST_IN_PROGRESS, 429, 503, 504, or nothing, asks
again with the same key; with `insist=False` that is left to `ask_again`. Each answer is looked at as
`Api` looks at it, and two definite answers to one key must agree.
"""

import asyncio
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count, cycle
from typing import Any

import httpx

from tests.market.api import check_answer, wish
from tests.market.shop import Buyer

ORDERS = "/api/v1/orders"
ASK_AGAIN = frozenset({202, 429, 503, 504})
PAUSE = 0.2
PATIENCE = 30.0
INSISTENCE = 600.0
"""Seconds after which a buyer who has no definite answer has failed the test."""
NOTHING = 0
"""In place of a status: there was no answer."""


@dataclass(frozen=True)
class Answer:
    """The answer to a request with a key: a status, the problem's code or the order's status, and the order's id.

    `at` is the time of the request by the monotonic clock, `took` how long the answer took, both in seconds.
    """

    key: str
    at: float
    took: float
    status: int
    code: str
    order_id: str = ""
    detail: str = field(default="", compare=False)

    @property
    def final(self) -> bool:
        """Whether a repeated request would get the same answer."""
        return not (self.status in ASK_AGAIN or self.status == NOTHING or self.code == "REQUEST_IN_PROGRESS")

    @property
    def outcome(self) -> tuple[int, str]:
        """Status and code, for tests to count."""
        return self.status, self.code


@dataclass
class Wishes:
    """Makes orders: one piece of the next product for the next account, each under a new key."""

    accounts: Sequence[Buyer]
    lines: Sequence[tuple[str, int, int]]
    name: str
    methods: Sequence[str] = ("card",)
    _number: Any = field(default_factory=count)

    def __post_init__(self) -> None:
        self._buyers, self._products, self._ways = cycle(self.accounts), cycle(self.lines), cycle(self.methods)

    def next(self) -> tuple[str, dict[str, Any]]:
        """Makes an access token, and the body of an order."""
        buyer, key = next(self._buyers), f"{self.name}-{next(self._number)}"
        body = wish(next(self._products), address=buyer.home, method=next(self._ways), key=key)
        return buyer.token, body


class Crowd:
    """A crowd of buyers, as the module's docstring shows it. It ends after `most` orders."""

    def __init__(
        self,
        url: str,
        wishes: Wishes,
        *,
        clients: int,
        per_second: float = 0.0,
        most: int = 1_000_000,
        insist: bool = True,
    ) -> None:
        self.answers: list[Answer] = []
        self.wrong: list[str] = []
        self._url, self._wishes, self._insist, self._left = url, wishes, insist, most
        self._every, self._clients = 1 / per_second if per_second else 0.0, clients
        self._due = 0.0
        self._asked: dict[str, tuple[str, dict[str, Any]]] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._work()), name="buyers")

    def __enter__(self) -> "Crowd":
        self._thread.start()
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._stop.set()
        self._thread.join()
        if error is None:
            self.check()

    def check(self) -> None:
        """Raises AssertionError if an answer was wrong in itself."""
        assert not self.wrong, f"{len(self.wrong)} answers were wrong, such as {self.wrong[:3]}"
        for key, ends in self.ends().items():
            known = {(answer.outcome, answer.order_id) for answer in ends}
            assert len(known) <= 1, f"{key} ended in several ways: {known}"

    def ends(self) -> dict[str, list[Answer]]:
        """Gives the definite answers to each key; none where there is none yet."""
        found: dict[str, list[Answer]] = {key: [] for key in list(self._asked)}
        for answer in list(self.answers):
            if answer.final:
                found[answer.key].append(answer)
        return found

    def since(self, moment: float) -> list[Answer]:
        """Gives the answers to requests that were made from a moment on."""
        return [answer for answer in list(self.answers) if answer.at >= moment]

    def finish(self) -> None:
        """Waits until a crowd with `most` has all its answers."""
        self._thread.join()

    def ask_again(self, clients: int = 16) -> None:
        """Repeats each request without a definite answer, with the same key, until it has one."""
        asyncio.run(self._ask_again(clients))
        self.check()

    async def _work(self) -> None:
        async with self._client() as client:
            await asyncio.gather(*(self._one_after_the_other(client) for _ in range(self._clients)))

    async def _one_after_the_other(self, client: httpx.AsyncClient) -> None:
        await self._turn()
        while not self._over():
            await self._buy(client, *self._wishes.next())
            await self._turn()

    async def _turn(self) -> None:
        """Waits until the rate permits one more order; what was missed is not made up for."""
        if self._every:
            now = time.monotonic()
            self._due = max(self._due + self._every, now)
            await asyncio.sleep(self._due - now)

    def _over(self) -> bool:
        self._left -= 1
        return self._left < 0 or self._stop.is_set()

    async def _buy(self, client: httpx.AsyncClient, token: str, body: dict[str, Any]) -> None:
        key, until = body["idempotencyKey"], time.monotonic() + INSISTENCE
        self._asked[key] = token, body
        while True:
            answer = await self._ask(client, token, body)
            self.answers.append(answer)
            if answer.final or not self._insist:
                return
            if time.monotonic() > until:
                self.wrong.append(f"{key} has no definite answer, but {answer}")
                return
            await asyncio.sleep(PAUSE)

    async def _ask(self, client: httpx.AsyncClient, token: str, body: dict[str, Any]) -> Answer:
        at = time.monotonic()
        try:
            response = await client.post(ORDERS, json=body, headers={"authorization": f"Bearer {token}"})
        except httpx.TransportError as error:
            name, detail = type(error).__name__, str(error)
            return Answer(body["idempotencyKey"], at, time.monotonic() - at, NOTHING, name, detail=detail)
        took = time.monotonic() - at
        try:
            check_answer(response)
        except AssertionError as error:
            self.wrong.append(str(error))
        told = response.json()
        code = str(told.get("code") or told["status"])
        return Answer(
            body["idempotencyKey"], at, took, response.status_code, code, str(told.get("id", "")), response.text
        )

    async def _ask_again(self, clients: int) -> None:
        waiting = [self._asked[key] for key, ends in self.ends().items() if not ends]
        self._insist = True
        async with self._client() as client:

            async def work() -> None:
                while waiting:
                    await self._buy(client, *waiting.pop())

            await asyncio.gather(*(work() for _ in range(clients)))

    def _client(self) -> httpx.AsyncClient:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=64)
        return httpx.AsyncClient(base_url=self._url, timeout=PATIENCE, limits=limits, trust_env=False)


def counted(answers: Sequence[Answer]) -> dict[tuple[int, str], int]:
    """Counts the answers of each outcome."""
    found: dict[tuple[int, str], int] = defaultdict(int)
    for answer in answers:
        found[answer.outcome] += 1
    return dict(found)


def p99(answers: Sequence[Answer]) -> float:
    """Gives the 99th percentile of the times of answers, in milliseconds."""
    times = sorted(answer.took for answer in answers)
    return times[len(times) * 99 // 100] * 1000 if times else 0.0
