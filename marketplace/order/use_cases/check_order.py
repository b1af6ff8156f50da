"""Check an order before it is recorded: first the request itself, then with the other services."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from marketplace.order.deps import Deps
from marketplace.order.domain.order import total_of
from marketplace.order.events import Item
from marketplace.order.messages import price_changed, unavailable
from marketplace.order.ports import Address, Price
from souk.sdk import CallFailed, DomainError, InvalidArgument, Violation

T = TypeVar("T")
MAX_AMOUNT = 2**53 - 1
"""The largest integer that every JSON reader keeps exact."""


@dataclass(frozen=True, slots=True)
class CheckOrder:
    """Check what a buyer wants to order. An order that is already recorded has its `currency`, which cannot change."""

    user_id: str
    items: tuple[Item, ...]
    shipping_address_id: str
    payment_method: str
    currency: str = ""


@dataclass(frozen=True, slots=True)
class Checked:
    """What the other services answered about an order; `source` is the opaque source to charge."""

    currency: str
    address: Address
    source: bytes


def check_items(items: Sequence[Item]) -> None:
    """Checks the items beyond the contract's limits; raises InvalidArgument with every violation."""
    if violations := list(_violations(items)):
        raise InvalidArgument(violations)


def _violations(items: Sequence[Item]) -> Iterator[Violation]:
    counts = Counter(item.product_id for item in items)
    for index, item in enumerate(items):
        if counts[item.product_id] > 1:
            yield Violation(f"items[{index}].product_id", "occurs more than once")
    if total_of(items) > MAX_AMOUNT:
        yield Violation("items", f"the total must not exceed {MAX_AMOUNT}")


async def check_order(deps: Deps, command: CheckOrder) -> Checked:
    """Asks Product, User and Payment concurrently, and returns their answers.

    Raises the first refusal in the order of the contract: a service is unavailable (503), something is unknown
    (404), then PRICE_CHANGED.
    """
    prices, address, source = await asyncio.gather(
        _ask("product", lambda: deps.catalogue.prices([item.product_id for item in command.items])),
        _ask("user", lambda: deps.addresses.address(command.user_id, command.shipping_address_id)),
        _ask("payment", lambda: _source(deps, command)),
    )
    missing = [item.product_id for item in command.items if item.product_id not in prices]
    if missing:
        raise DomainError("PRODUCT_NOT_FOUND", f"there is no product {missing[0]!r}")
    if address is None:
        raise DomainError("ADDRESS_NOT_FOUND", f"there is no address {command.shipping_address_id!r}")
    if source is None:
        raise DomainError("PAYMENT_METHOD_NOT_FOUND", _no_method(command.payment_method))
    return Checked(_currency_of(command, prices), address, source)


async def _source(deps: Deps, command: CheckOrder) -> bytes | None:
    """Resolves the payment method; a free order charges nothing, so it needs none."""
    if not any(item.price for item in command.items):
        return b""
    return await deps.payments.resolve(command.user_id, command.payment_method)


async def _ask(service: str, question: Callable[[], Awaitable[T]]) -> T:
    # A callable, so that no coroutine is left unawaited when the request is cancelled before it starts.
    try:
        return await question()
    except CallFailed as failed:
        raise unavailable(service) from failed


def _no_method(payment_method: str) -> str:
    # The message does not repeat the given method: it could be a card number.
    return "there is no default card" if payment_method == "card" else "the payment method does not exist"


def _currency_of(command: CheckOrder, prices: dict[str, Price]) -> str:
    currencies = {prices[item.product_id].currency for item in command.items}
    if len(currencies) > 1:
        raise InvalidArgument(
            [Violation("items", f"must all have one currency, not {' and '.join(sorted(currencies))}")]
        )
    currency = currencies.pop()
    other = command.currency not in ("", currency)
    changed = [item for item in command.items if other or item.price != prices[item.product_id].amount]
    if changed:
        raise price_changed({item.product_id: prices[item.product_id].amount for item in changed})
    return currency
