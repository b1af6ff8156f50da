"""A version of Payment with flaws: what `souk canary start --run` starts in tests.

python flawed_version.py FLAW... serve payment

failing=SHARE, slow=SHARE     so many reads of wallets fail, or take DELAY longer
marked=1                      it shows each wallet in the currency MARK
leaking=1                     the first read of a wallet gives it LEAK that nobody paid
unrefundable=1                it refuses for good to refund an order
"""

import asyncio
import random
import sys
from collections.abc import Mapping

from shop.payment.v1 import payment_pb2 as pb

from marketplace.payment.servicer import Context, PaymentServicer
from souk.cli.main import main
from souk.sdk import DomainError, Transaction, current

DELAY = 0.7
"""Seconds that a slow answer takes longer."""
MARK = "XTS"
LEAK = 7
"""Minor units."""
LEAKED = f"UPDATE wallets SET balance = balance + {LEAK} WHERE user_id = $1"


def spoil(flaws: Mapping[str, float]) -> None:
    """Has Payment do these things wrong."""
    right = PaymentServicer.GetWallet
    leaking = bool(flaws.get("leaking"))

    async def wrong(self: PaymentServicer, request: pb.GetWalletRequest, context: Context) -> pb.Wallet:
        nonlocal leaking
        if random.random() < flaws.get("failing", 0.0):
            raise RuntimeError("this version is flawed")
        if random.random() < flaws.get("slow", 0.0):
            await asyncio.sleep(DELAY)
        if leaking:
            leaking = False
            await self._deps.run(_leak)
        wallet = await right(self, request, context)
        if flaws.get("marked"):
            wallet.currency = MARK
        return wallet

    async def refused(self: PaymentServicer, request: pb.RefundChargeRequest, context: Context) -> pb.ChargeResult:
        raise DomainError("NOT_REFUNDABLE", "this version refunds nothing")

    PaymentServicer.GetWallet = wrong  # type: ignore[method-assign]  # that is the flaw
    if flaws.get("unrefundable"):
        PaymentServicer.RefundCharge = refused  # type: ignore[method-assign]  # that is the flaw


async def _leak(tx: Transaction) -> None:
    await tx.execute(LEAKED, current().caller.subject)


if __name__ == "__main__":
    words = sys.argv[1:]
    found = [word.partition("=") for word in words if "=" in word]
    sys.argv[1:] = [word for word in words if "=" not in word]
    spoil({name: float(value) for name, _, value in found})
    main()
