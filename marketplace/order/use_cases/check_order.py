"""What is checked before an order is recorded: first the request in itself, then against the other services."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from shop.order.v1 import order_pb2 as pb

from marketplace.order.domain import total_of
from marketplace.order.events import Item
from marketplace.order.messages import unavailable
from marketplace.order.ports import Address, AddressBook, Catalogue, Payments, Price
from souk.kernel.errors import DomainError, InvalidArgument, Violation
from souk.rpc.call import CallFailed

T = TypeVar("T")
MAX_AMOUNT = 2**53 - 1
"""The largest integer that every JSON reader keeps exact."""


@dataclass(frozen=True, slots=True)
class Wish:
    """An order that somebody wants to place."""

    user_id: str
    items: tuple[Item, ...]
    shipping_address_id: str
    payment_method: str
    key: str


@dataclass(frozen=True, slots=True)
class Checked:
    """What the other services said of a wish."""

    currency: str
    address: Address
    source: bytes


def check_request(wish: Wish) -> None:
    """Raises InvalidArgument with everything that is wrong with the items beyond the contract's limits."""
    if violations := list(_violations(wish.items)):
        raise InvalidArgument(violations)


def _violations(items: Sequence[Item]) -> Iterator[Violation]:
    seen = Counter(item.product_id for item in items)
    for place, item in enumerate(items):
        if seen[item.product_id] > 1:
            yield Violation(f"items[{place}].product_id", "occurs more than once")
    if total_of(items) > MAX_AMOUNT:
        yield Violation("items", f"the total must not exceed {MAX_AMOUNT}")


class Checks:
    """Asks Product, User and Payment at once; the first refusal in the order of the contract counts."""

    def __init__(self, catalogue: Catalogue, addresses: AddressBook, payments: Payments) -> None:
        self._catalogue = catalogue
        self._addresses = addresses
        self._payments = payments

    async def check(self, wish: Wish, currency: str = "") -> Checked:
        """Raises the refusal: 503 when one cannot be asked, 404 for what is unknown, then PRICE_CHANGED.

        An order that is recorded has a `currency`, and keeps it.
        """
        prices, address, source = await asyncio.gather(
            _ask("product", lambda: self._catalogue.prices([item.product_id for item in wish.items])),
            _ask("user", lambda: self._addresses.address(wish.user_id, wish.shipping_address_id)),
            _ask("payment", lambda: self._source(wish)),
        )
        missing = [item.product_id for item in wish.items if item.product_id not in prices]
        if missing:
            raise DomainError("PRODUCT_NOT_FOUND", f"there is no product {missing[0]!r}")
        if address is None:
            raise DomainError("ADDRESS_NOT_FOUND", f"there is no address {wish.shipping_address_id!r}")
        if source is None:
            raise DomainError("PAYMENT_METHOD_NOT_FOUND", _no_method(wish.payment_method))
        return Checked(_currency_of(wish, prices, currency), address, source)

    async def _source(self, wish: Wish) -> bytes | None:
        """What will be charged; where everything is free nothing will be, and no method is needed."""
        if not any(item.price for item in wish.items):
            return b""
        return await self._payments.resolve(wish.user_id, wish.payment_method)


async def _ask(service: str, question: Callable[[], Awaitable[T]]) -> T:
    # A callable, so that nothing is left unawaited when the request is cancelled before its turn comes.
    try:
        return await question()
    except CallFailed as failed:
        raise unavailable(service) from failed


def _no_method(payment_method: str) -> str:
    # What was written is not repeated: it could be a card number.
    return "there is no default card" if payment_method == "card" else "the payment method does not exist"


def _currency_of(wish: Wish, prices: dict[str, Price], bound: str) -> str:
    currencies = {prices[item.product_id].currency for item in wish.items}
    if len(currencies) > 1:
        raise InvalidArgument(
            [Violation("items", f"must all have one currency, not {' and '.join(sorted(currencies))}")]
        )
    currency = currencies.pop()
    other = bound not in ("", currency)
    changed = [item for item in wish.items if other or item.price != prices[item.product_id].amount]
    if changed:
        current = [pb.CurrentPrice(product_id=i.product_id, price=prices[i.product_id].amount) for i in changed]
        raise DomainError("PRICE_CHANGED", "a price differs from the current price", pb.PriceChange(items=current))
    return currency
