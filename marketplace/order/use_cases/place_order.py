"""Place an order: the same key is the same order, however often it is asked for.

key unknown                 check with the other services, record, reserve, charge, confirm
key with an answer          the answer again, unchanged
key with an attempt running wait for it
key after a not-final end   drive the same order further: the next attempt
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from marketplace.order.use_cases.checks import Checked, Checks, Wish, check_request
from shop.order.v1 import order_pb2 as pb

from marketplace.order import domain
from marketplace.order.domain import Order, Status
from marketplace.order.events import OrderPlaced, RejectionMadeFinal
from marketplace.order.messages import order_message
from marketplace.order.ports import Orders
from marketplace.order.saga import PLACE, Placing, refusal_of
from souk.kernel.clock import MICROSECONDS, Clock
from souk.kernel.context import current
from souk.kernel.errors import DomainError
from souk.kernel.ids import new_id
from souk.saga.definition import SagaRef
from souk.saga.runner import SagaRunner
from souk.store.database import Database, Transaction
from souk.store.idempotency import KeyRecord, StoredReply

MAX_WAITERS = 100
ANSWER_BEFORE = 0.5
"""Seconds before the request's deadline at which 202 is answered."""
DEFAULT_TIMEOUT = 10.0
RESERVATION = 3_600 * MICROSECONDS
"""A guard against leaks only: far beyond the saga's deadline and its compensation."""


class KeyTaken(Exception):
    """Another request recorded this key first, or moved its order on."""


Remember = Callable[[Transaction, DomainError], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Answer:
    """The order, or the refusal; `replayed` when it was answered before."""

    reply: pb.Order | DomainError
    replayed: bool = False


class PlaceOrder:
    """The use case. Its collaborators come from the composition root."""

    def __init__(self, database: Database, orders: Orders, checks: Checks, runner: SagaRunner, clock: Clock) -> None:
        self._database = database
        self._orders = orders
        self._checks = checks
        self._runner = runner
        self._clock = clock
        self._waiting: Counter[tuple[str, str]] = Counter()

    async def __call__(self, wish: Wish, fingerprint: str) -> Answer:
        """Raises the refusals of the contract. Once recorded, it goes on even if the caller goes away."""
        check_request(wish)
        until = self._patience()
        with self._one_of_few(wish):
            while True:
                record, order = await self._look(wish)
                if record is not None:
                    record.require(fingerprint)
                try:
                    return await self._advance(wish, fingerprint, record, order, until)
                except KeyTaken:
                    continue

    async def _look(self, wish: Wish) -> tuple[KeyRecord | None, Order]:
        """The key, and the order that it drives further."""
        record = await self._database.read(lambda tx: self._orders.find_key(tx, wish.user_id, wish.key), single=True)
        if record is None or record.reply is not None:
            return record, Order("")
        return await self._database.read(lambda tx: self._known(tx, wish))

    async def _known(self, tx: Transaction, wish: Wish) -> tuple[KeyRecord | None, Order]:
        """The key and its order at one moment: a rejected order without an answer is one to be retried."""
        record = await self._orders.find_key(tx, wish.user_id, wish.key)
        if record is None or record.reply is not None:
            return record, Order("")
        return record, await self._orders.load(tx, record.subject)

    async def _advance(
        self, wish: Wish, fingerprint: str, record: KeyRecord | None, order: Order, until: float
    ) -> Answer:
        if record is None:
            return await self._wait(await self._first_attempt(wish, fingerprint), until, replayed=False)
        if record.reply is not None:
            return _answer(record.reply, replayed=True)
        if order.status is Status.REJECTED:
            return await self._wait(await self._next_attempt(wish, order), until, replayed=False)
        return await self._wait(SagaRef(PLACE, order.id, order.attempt), until, replayed=True)

    async def _first_attempt(self, wish: Wish, fingerprint: str) -> SagaRef:
        checked = await self._checked(wish, "", lambda tx, error: self._refuse_key(tx, wish, fingerprint, error))

        async def record(tx: Transaction) -> SagaRef:
            order = Order(new_id("ORD", self._clock))
            if not await self._orders.bind_key(tx, wish.user_id, wish.key, fingerprint, order.id):
                raise KeyTaken
            total = domain.total_of(wish.items)
            placed = OrderPlaced(
                wish.user_id, wish.items, total, checked.currency, wish.shipping_address_id, wish.payment_method
            )
            order = await self._orders.change(tx, order, [placed])
            await self._orders.keep_address(tx, order, checked.address.text)
            return await self._start(tx, order, checked)

        return await self._database.run(record, guarded=True)

    async def _next_attempt(self, wish: Wish, order: Order) -> SagaRef:
        if await self._database.read(lambda tx: self._closing(tx, order)):
            detail = "the previous attempt is still being undone"
            raise DomainError("ATTEMPT_CLOSING", detail, retry_after=1.0)
        checked = await self._checked(wish, order.currency, lambda tx, error: self._refuse_order(tx, order, error))

        async def record(tx: Transaction) -> SagaRef:
            now = await self._unchanged(tx, order)
            reopened = await self._orders.change(tx, now, domain.reopen(now))
            await self._orders.keep_address(tx, reopened, checked.address.text)
            return await self._start(tx, reopened, checked)

        return await self._database.run(record, guarded=True)

    async def _closing(self, tx: Transaction, order: Order) -> bool:
        """Whether its last attempt is still being undone; an attempt that somebody opened meanwhile is not that."""
        await self._unchanged(tx, order)
        return await self._runner.open(tx, order.id)

    async def _unchanged(self, tx: Transaction, order: Order) -> Order:
        now = await self._orders.load(tx, order.id)
        if now.version != order.version:
            raise KeyTaken
        return now

    async def _checked(self, wish: Wish, currency: str, remember: Remember) -> Checked:
        """The checks; a final refusal by them is remembered, any other leaves everything as it was."""
        try:
            return await self._checks.check(wish, currency)
        except DomainError as error:
            refused = error
        if refused.reason == "PRICE_CHANGED":
            await self._database.run(lambda tx: remember(tx, refused))
        raise refused

    async def _refuse_key(self, tx: Transaction, wish: Wish, fingerprint: str, error: DomainError) -> None:
        if not await self._orders.bind_key(tx, wish.user_id, wish.key, fingerprint, ""):
            raise KeyTaken
        await self._orders.answer_key(tx, wish.user_id, wish.key, error)

    async def _refuse_order(self, tx: Transaction, order: Order, error: DomainError) -> None:
        now = await self._unchanged(tx, order)
        now = await self._orders.change(tx, now, [RejectionMadeFinal(error.reason)])
        await self._orders.answer(tx, now, error)

    async def _start(self, tx: Transaction, order: Order, checked: Checked) -> SagaRef:
        placing = Placing(
            order.user_id, order.items, order.total, order.currency, checked.source, self._clock.now() + RESERVATION
        )
        return await self._runner.start(tx, PLACE, order.id, order.attempt, placing.pack(), order.user_id)

    async def _wait(self, ref: SagaRef, until: float, *, replayed: bool) -> Answer:
        await self._runner.wait(ref, until)
        if (reply := self._orders.answered(ref.subject)) is not None:
            return _answer(reply, replayed)
        return await self._database.read(lambda tx: self._standing(tx, ref, replayed=replayed))

    async def _standing(self, tx: Transaction, ref: SagaRef, *, replayed: bool) -> Answer:
        """What an attempt came to, or its order as it is meanwhile, all at one moment."""
        record = await self._orders.find_key_of(tx, ref.subject)
        if record is not None and record.reply is not None:
            return _answer(record.reply, replayed)
        progress = await self._runner.progress(tx, ref)
        if progress.refusal is not None:
            return Answer(refusal_of(progress.refusal))
        return Answer(order_message(await self._orders.load(tx, ref.subject)))

    def _patience(self) -> float:
        deadline = current().deadline
        return (self._clock.monotonic() + DEFAULT_TIMEOUT if deadline is None else deadline) - ANSWER_BEFORE

    @contextmanager
    def _one_of_few(self, wish: Wish) -> Iterator[None]:
        place = (wish.user_id, wish.key)
        if self._waiting[place] > MAX_WAITERS:
            raise DomainError("REQUEST_IN_PROGRESS", "too many requests wait for this key", retry_after=1.0)
        self._waiting[place] += 1
        try:
            yield
        finally:
            self._waiting[place] -= 1
            if not self._waiting[place]:
                del self._waiting[place]


def _answer(reply: StoredReply, replayed: bool) -> Answer:
    try:
        return Answer(reply.replay(pb.Order), replayed)
    except DomainError as refused:
        return Answer(refused, replayed)
