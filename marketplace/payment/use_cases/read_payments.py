"""Read a user's payments, saved cards and wallet; and for Order, the charges that stand."""

from collections.abc import Sequence
from dataclasses import dataclass

from marketplace.payment.deps import Deps
from marketplace.payment.domain import Card, Payment, Wallet
from souk.sdk import MICROSECONDS, DomainError, PageAsked


@dataclass(frozen=True, slots=True)
class GetWallet:
    """Read a user's wallet."""

    user_id: str


@dataclass(frozen=True, slots=True)
class GetPayment:
    """Read one payment of a user."""

    user_id: str
    payment_id: str


@dataclass(frozen=True, slots=True)
class ListPayments:
    """Read a page of a user's payments."""

    user_id: str
    page: PageAsked


@dataclass(frozen=True, slots=True)
class ListCards:
    """Read a page of a user's cards."""

    user_id: str
    page: PageAsked


@dataclass(frozen=True, slots=True)
class ListStandingCharges:
    """Read at most `limit` charges after the id `after` that were requested at least `min_age` seconds ago."""

    after: str
    min_age: int
    limit: int


async def get_wallet(deps: Deps, query: GetWallet) -> Wallet:
    """Returns the wallet; an empty one for a user who never had any."""
    return await deps.database.read(lambda tx: deps.ledger.wallet(tx, query.user_id))


async def get_payment(deps: Deps, query: GetPayment) -> Payment:
    """Returns a payment of the user; raises PAYMENT_NOT_FOUND also for another user's payment."""
    payment = await deps.database.read(lambda tx: deps.payments.get(tx, query.payment_id, query.user_id))
    if payment is None:
        raise DomainError("PAYMENT_NOT_FOUND", "the payment does not exist")
    return payment


async def list_payments(deps: Deps, query: ListPayments) -> tuple[Sequence[Payment], str | None]:
    """Returns a page of the user's payments, the newest first, and the token of the next page."""
    page = query.page
    before = None if page.after is None else str(page.after[0])
    found = await deps.database.read(lambda tx: deps.payments.page(tx, query.user_id, before, page.size + 1))
    return page.cut(found, lambda payment: (payment.id,))


async def list_cards(deps: Deps, query: ListCards) -> tuple[Sequence[Card], str | None]:
    """Returns a page of the user's cards, the default first, and the token of the next page."""
    page = query.page
    after = None if page.after is None else (int(page.after[0]), str(page.after[1]))
    found = await deps.database.read(lambda tx: deps.cards.page(tx, query.user_id, after, page.size + 1))
    return page.cut(found, lambda card: (int(not card.is_default), card.id))


async def list_standing_charges(deps: Deps, query: ListStandingCharges) -> Sequence[Payment]:
    """Returns charges of orders that are captured and not undone, by their ids."""
    age = query.min_age * MICROSECONDS
    return await deps.database.read(lambda tx: deps.payments.standing(tx, query.after, age, query.limit))
