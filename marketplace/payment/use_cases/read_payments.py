"""Read what belongs to a user: payments, saved cards, the wallet."""

from collections.abc import Sequence

from marketplace.payment.office import Office

from marketplace.payment.domain import Card, Payment, Wallet
from souk.kernel.clock import MICROSECONDS
from souk.kernel.errors import DomainError
from souk.kernel.paging import PageAsked


async def get_wallet(user_id: str, office: Office) -> Wallet:
    """The wallet; empty for whoever never had any."""
    return await office.database.read(lambda tx: office.ledger.wallet(tx, user_id))


async def get_payment(user_id: str, payment_id: str, office: Office) -> Payment:
    """A payment of the user; raises PAYMENT_NOT_FOUND, for another's too."""
    payment = await office.database.read(lambda tx: office.payments.get(tx, payment_id, user_id))
    if payment is None:
        raise DomainError("PAYMENT_NOT_FOUND", "the payment does not exist")
    return payment


async def list_payments(user_id: str, page: PageAsked, office: Office) -> tuple[Sequence[Payment], str | None]:
    """A page of the user's payments, the newest first, and the token of the next one."""
    before = None if page.after is None else str(page.after[0])
    found = await office.database.read(lambda tx: office.payments.page(tx, user_id, before, page.size + 1))
    return page.cut(found, lambda payment: (payment.id,))


async def list_cards(user_id: str, page: PageAsked, office: Office) -> tuple[Sequence[Card], str | None]:
    """A page of the user's cards, the default first, and the token of the next one."""
    after = None if page.after is None else (int(page.after[0]), str(page.after[1]))
    found = await office.database.read(lambda tx: office.cards.page(tx, user_id, after, page.size + 1))
    return page.cut(found, lambda card: (int(not card.is_default), card.id))


async def list_standing_charges(after: str, min_age: int, limit: int, office: Office) -> Sequence[Payment]:
    """Charges of orders that stand, asked for `min_age` seconds ago or earlier, by their ids behind `after`."""
    return await office.database.read(lambda tx: office.payments.standing(tx, after, min_age * MICROSECONDS, limit))
