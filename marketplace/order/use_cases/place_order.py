"""Place an order: requests with the same key make one order, however often they are sent.

key unknown                    check with the other services, record, reserve, charge, confirm
key with a stored answer       return that answer, unchanged
key with a running attempt     wait for it
key of a retryable rejection   open the next attempt of the same order
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from marketplace.order.deps import Deps
from marketplace.order.domain.order import Order, Status, reopen, total_of
from marketplace.order.events import Item, OrderPlaced, RejectionMadeFinal
from marketplace.order.saga.attempt import PLACE_ORDER, begin_placing
from marketplace.order.saga.refusals import refusal_of
from marketplace.order.use_cases.check_order import Checked, CheckOrder, check_items, check_order
from souk.sdk import DomainError, KeyRecord, SagaRef, StoredReply, Transaction, new_id


@dataclass(frozen=True, slots=True)
class PlaceOrder:
    """Place an order under a buyer's idempotency key; `fingerprint` tells apart another request with that key."""

    user_id: str
    items: tuple[Item, ...]
    shipping_address_id: str
    payment_method: str
    key: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Answer:
    """The key's final answer as it is stored, or the order or the refusal as it stands; `replayed` for a repeat."""

    reply: StoredReply | Order | DomainError
    replayed: bool = False


class KeyTaken(Exception):
    """Another request bound this key first, or has changed its order since."""


Remember = Callable[[Transaction, DomainError], Awaitable[None]]


async def place_order(deps: Deps, command: PlaceOrder) -> Answer:
    """Places the order, and returns its answer; raises the refusals of the contract.

    Once recorded, placing goes on even if the caller cancels its request.
    """
    check_items(command.items)
    until = deps.answer_by()
    with deps.waiting.one_more(command.user_id, command.key):
        while True:
            record, order = await _find(deps, command)
            if record is not None:
                record.require(command.fingerprint)
            try:
                return await _advance(deps, command, record, order, until)
            except KeyTaken:
                continue


async def _find(deps: Deps, command: PlaceOrder) -> tuple[KeyRecord | None, Order]:
    """Returns the key's record, and the order that it belongs to while it has no answer."""
    record = await deps.database.read(lambda tx: deps.orders.find_key(tx, command.user_id, command.key), single=True)
    if record is None or record.reply is not None:
        return record, Order("")
    return await deps.database.read(lambda tx: _known(deps, tx, command))


async def _known(deps: Deps, tx: Transaction, command: PlaceOrder) -> tuple[KeyRecord | None, Order]:
    """Reads the key and its order in one snapshot: a rejected order without an answer is one to retry."""
    record = await deps.orders.find_key(tx, command.user_id, command.key)
    if record is None or record.reply is not None:
        return record, Order("")
    return record, await deps.orders.load(tx, record.subject)


async def _advance(deps: Deps, command: PlaceOrder, record: KeyRecord | None, order: Order, until: float) -> Answer:
    if record is None:
        return await _wait(deps, await _first_attempt(deps, command), until, replayed=False)
    if record.reply is not None:
        return Answer(record.reply, replayed=True)
    if order.status is Status.REJECTED:
        return await _wait(deps, await _next_attempt(deps, command, order), until, replayed=False)
    return await _wait(deps, SagaRef(PLACE_ORDER, order.id, order.attempt), until, replayed=True)


async def _first_attempt(deps: Deps, command: PlaceOrder) -> SagaRef:
    checked = await _checked(deps, command, "", lambda tx, error: _refuse_key(deps, tx, command, error))

    async def record(tx: Transaction) -> SagaRef:
        order = Order(new_id("ORD", deps.clock))
        if not await deps.orders.bind_key(tx, command.user_id, command.key, command.fingerprint, order.id):
            raise KeyTaken
        total = total_of(command.items)
        placed = OrderPlaced(
            command.user_id, command.items, total, checked.currency, command.shipping_address_id, command.payment_method
        )
        order = await deps.orders.change(tx, order, [placed])
        await deps.orders.keep_address(tx, order, checked.address.text)
        return await begin_placing(deps.placing.of(order), tx, order, checked.source, deps.clock)

    return await deps.database.run(record, guarded=True, grouped=True)


async def _next_attempt(deps: Deps, command: PlaceOrder, order: Order) -> SagaRef:
    if await deps.database.read(lambda tx: _closing(deps, tx, order)):
        detail = "the previous attempt is still being undone"
        raise DomainError("ATTEMPT_CLOSING", detail, retry_after=1.0)
    checked = await _checked(deps, command, order.currency, lambda tx, error: _refuse_order(deps, tx, order, error))

    async def record(tx: Transaction) -> SagaRef:
        now = await _unchanged(deps, tx, order)
        reopened = await deps.orders.change(tx, now, reopen(now))
        await deps.orders.keep_address(tx, reopened, checked.address.text)
        return await begin_placing(deps.placing.of(reopened), tx, reopened, checked.source, deps.clock)

    return await deps.database.run(record, guarded=True)


async def _closing(deps: Deps, tx: Transaction, order: Order) -> bool:
    """Tells whether the last attempt is still being undone; raises KeyTaken if the order has changed since."""
    await _unchanged(deps, tx, order)
    return await deps.placing.open(tx, order.id)


async def _unchanged(deps: Deps, tx: Transaction, order: Order) -> Order:
    now = await deps.orders.load(tx, order.id)
    if now.version != order.version:
        raise KeyTaken
    return now


async def _checked(deps: Deps, command: PlaceOrder, currency: str, remember: Remember) -> Checked:
    """Checks with the other services; a final refusal is stored, any other changes nothing."""
    wanted = CheckOrder(command.user_id, command.items, command.shipping_address_id, command.payment_method, currency)
    try:
        return await check_order(deps, wanted)
    except DomainError as error:
        refused = error
    if refused.reason == "PRICE_CHANGED":
        await deps.database.run(lambda tx: remember(tx, refused))
    raise refused


async def _refuse_key(deps: Deps, tx: Transaction, command: PlaceOrder, error: DomainError) -> None:
    if not await deps.orders.bind_key(tx, command.user_id, command.key, command.fingerprint, ""):
        raise KeyTaken
    await deps.orders.refuse_key(tx, command.user_id, command.key, error)


async def _refuse_order(deps: Deps, tx: Transaction, order: Order, error: DomainError) -> None:
    now = await _unchanged(deps, tx, order)
    now = await deps.orders.change(tx, now, [RejectionMadeFinal(error.reason)])
    await deps.orders.answer(tx, now, error)


async def _wait(deps: Deps, ref: SagaRef, until: float, *, replayed: bool) -> Answer:
    await deps.placing.wait(ref, until)
    if (reply := deps.orders.answered(ref.subject)) is not None:
        return Answer(reply, replayed)
    return await deps.database.read(lambda tx: _standing(deps, tx, ref, replayed=replayed))


async def _standing(deps: Deps, tx: Transaction, ref: SagaRef, *, replayed: bool) -> Answer:
    """Reads the answer of an attempt, or its order while there is none, in one snapshot."""
    record = await deps.orders.find_key_of(tx, ref.subject)
    if record is not None and record.reply is not None:
        return Answer(record.reply, replayed)
    progress = await deps.placing.progress(tx, ref)
    if progress.refusal is not None:
        return Answer(refusal_of(progress.refusal))
    return Answer(await deps.orders.load(tx, ref.subject))
