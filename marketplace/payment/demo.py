"""Demo data: a card and a wallet with money for the demo user. Loading it again changes nothing."""

from marketplace.payment.deps import Deps
from marketplace.payment.use_cases.save_card import SaveCard, save_card
from marketplace.payment.use_cases.top_up_wallet import TopUpWallet, top_up_wallet

USER = "U-demo"
CARD = "PM-demo"
TOKEN = "tok_visa"
MONEY = 500_000
CURRENCY = "EUR"


async def load_demo(deps: Deps) -> None:
    """Saves the card and tops up the wallet with it, so that the bank's book and the ledger agree."""
    await save_card(deps, SaveCard(USER, TOKEN, is_default=True, id=CARD))
    await top_up_wallet(deps, TopUpWallet(USER, "demo-wallet", MONEY, CURRENCY, TOKEN))
