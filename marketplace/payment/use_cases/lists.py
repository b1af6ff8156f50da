"""Read what belongs to a user: payments, saved cards, the wallet."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from marketplace.payment.domain import Card, Payment, Wallet
from marketplace.payment.office import Office
from souk.kernel.errors import DomainError
from souk.kernel.paging import decode_token, encode_token, query_digest, require_same_query

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some of a list; `next_token` is None on the last page."""

    items: list[T]
    next_token: str | None


async def get_wallet(user_id: str, office: Office) -> Wallet:
    """The wallet; empty for whoever never had any."""
    return await office.database.read(lambda tx: office.ledger.wallet(tx, user_id))


async def get_payment(user_id: str, payment_id: str, office: Office) -> Payment:
    """A payment of the user; raises PAYMENT_NOT_FOUND, for another's too."""
    payment = await office.database.read(lambda tx: office.payments.get(tx, payment_id, user_id))
    if payment is None:
        raise DomainError("PAYMENT_NOT_FOUND", "there is no such payment")
    return payment


async def list_payments(user_id: str, size: int, token: str, office: Office) -> Page[Payment]:
    """The user's payments, the newest first; raises InvalidArgument for a token of another list."""
    query, before = query_digest("payments", user_id), None
    if token:
        digest, last = decode_token(token, (str, str))
        require_same_query(digest, query)
        before = str(last)
    found = await office.database.read(lambda tx: office.payments.page(tx, user_id, before, size + 1))
    shown = found[:size]
    return Page(shown, encode_token(query, shown[-1].id) if len(found) > size else None)


async def list_cards(user_id: str, size: int, token: str, office: Office) -> Page[Card]:
    """The user's cards, the default first; raises InvalidArgument for a token of another list."""
    query, after = query_digest("cards", user_id), None
    if token:
        digest, rank, last = decode_token(token, (str, int, str))
        require_same_query(digest, query)
        after = (int(rank), str(last))
    found = await office.database.read(lambda tx: office.cards.page(tx, user_id, after, size + 1))
    shown = found[:size]
    more = len(found) > size
    return Page(shown, encode_token(query, int(not shown[-1].is_default), shown[-1].id) if more else None)
