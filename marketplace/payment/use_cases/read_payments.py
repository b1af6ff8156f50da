"""Read what belongs to a user: payments, saved cards, the wallet."""

from collections.abc import Sequence
from dataclasses import dataclass

from marketplace.payment.deps import Deps
from marketplace.payment.domain import Card, Payment, Wallet
from souk.sdk import MICROSECONDS, DomainError, PageAsked


@dataclass(frozen=True, slots=True)
class GetWallet:
    """Whose wallet."""

    user_id: str


@dataclass(frozen=True, slots=True)
class GetPayment:
    """Whose payment, and which."""

    user_id: str
    payment_id: str


@dataclass(frozen=True, slots=True)
class ListPayments:
    """A page of a user's payments."""

    user_id: str
    page: PageAsked


@dataclass(frozen=True, slots=True)
class ListCards:
    """A page of a user's cards."""

    user_id: str
    page: PageAsked


@dataclass(frozen=True, slots=True)
class ListStandingCharges:
    """At most `limit` charges behind the id `after`, asked for `min_age` seconds ago or earlier."""

    after: str
    min_age: int
    limit: int


async def get_wallet(deps: Deps, query: GetWallet) -> Wallet:
    """The wallet; empty for whoever never had any."""
    return await deps.database.read(lambda tx: deps.ledger.wallet(tx, query.user_id))


async def get_payment(deps: Deps, query: GetPayment) -> Payment:
    """A payment of the user; raises PAYMENT_NOT_FOUND, for another's too."""
    payment = await deps.database.read(lambda tx: deps.payments.get(tx, query.payment_id, query.user_id))
    if payment is None:
        raise DomainError("PAYMENT_NOT_FOUND", "the payment does not exist")
    return payment


async def list_payments(deps: Deps, query: ListPayments) -> tuple[Sequence[Payment], str | None]:
    """A page of the user's payments, the newest first, and the token of the next one."""
    page = query.page
    before = None if page.after is None else str(page.after[0])
    found = await deps.database.read(lambda tx: deps.payments.page(tx, query.user_id, before, page.size + 1))
    return page.cut(found, lambda payment: (payment.id,))


async def list_cards(deps: Deps, query: ListCards) -> tuple[Sequence[Card], str | None]:
    """A page of the user's cards, the default first, and the token of the next one."""
    page = query.page
    after = None if page.after is None else (int(page.after[0]), str(page.after[1]))
    found = await deps.database.read(lambda tx: deps.cards.page(tx, query.user_id, after, page.size + 1))
    return page.cut(found, lambda card: (int(not card.is_default), card.id))


async def list_standing_charges(deps: Deps, query: ListStandingCharges) -> Sequence[Payment]:
    """Charges of orders that stand, by their ids."""
    age = query.min_age * MICROSECONDS
    return await deps.database.read(lambda tx: deps.payments.standing(tx, query.after, age, query.limit))
