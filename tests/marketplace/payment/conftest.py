from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from shop.payment.v1 import payment_pb2 as pb

from marketplace.payment.adapters.in_process_provider import InProcessProvider
from marketplace.payment.adapters.sandbox.bank import SandboxBank
from marketplace.payment.deps import Deps
from marketplace.payment.domain import Status
from marketplace.payment.ports import CardProvider
from marketplace.payment.service import service
from marketplace.payment.servicer import PaymentServicer
from marketplace.payment.use_cases.recover_payments import recover_payments
from souk.faults import INERT, Faults
from souk.kernel.context import CallContext, Caller, use
from souk.kernel.errors import DomainError
from souk.sdk import TwoPhaseParticipant
from souk.testing.clocks import FakeClock
from souk.testing.service_host import CallRecord, HeldToContract, require_listed, service_host

TIMEOUT = 30.0
PENDING, CAPTURED, VOIDED = pb.PAYMENT_STATUS_PENDING, pb.PAYMENT_STATUS_CAPTURED, pb.PAYMENT_STATUS_VOIDED
REFUNDED, PARTLY = pb.PAYMENT_STATUS_REFUNDED, pb.PAYMENT_STATUS_PARTIALLY_REFUNDED


@dataclass
class Till:
    """The servicer, with short methods for tests, and readers of the ledger and the bank's book."""

    deps: Deps
    servicer: Any
    bank: SandboxBank
    clock: FakeClock

    async def call(self, method: str, request: Any, user: str = "U-1", roles: tuple[str, ...] = ()) -> Any:
        with use(CallContext(caller=Caller(subject=user, roles=frozenset(roles)))):
            self.record = CallRecord()
            try:
                return await getattr(self.servicer, method)(request, self.record)
            except DomainError as error:
                require_listed(service.contract, method, error)
                raise

    async def card(self, token: str, user: str = "U-1") -> str:
        return (await self.call("CreatePaymentMethod", pb.CreatePaymentMethodRequest(card_token=token), user)).id

    async def charge(
        self,
        key: str,
        card: str | None,
        amount: int = 1_000,
        currency: str = "EUR",
        user: str = "U-1",
        order: str = "O-1",
    ) -> Any:
        source = pb.ChargeSource(wallet=pb.WalletSource())
        if card is not None:
            source = pb.ChargeSource(card=pb.CardSource(payment_method_id=card))
        request = pb.ChargeRequest(
            key=key, order_id=order, user_id=user, amount=amount, currency=currency, source=source
        )
        return await self.call("Charge", request, "")

    async def cancel(self, key: str) -> tuple[int, bool]:
        answer = await self.call("CancelCharge", pb.CancelChargeRequest(key=key, order_id="O-1"), "")
        return answer.status, answer.settled

    async def top_up(
        self, key: str, amount: int, token: str = "tok_visa", currency: str = "EUR", user: str = "U-1"
    ) -> int:
        request = pb.TopUpWalletRequest(amount=amount, currency=currency, card_token=token, idempotency_key=key)
        return (await self.call("TopUpWallet", request, user)).balance

    async def refund(self, payment_id: str, amount: int, key: str, reason: str = "test") -> Any:
        request = pb.RefundPaymentRequest(id=payment_id, amount=amount, reason=reason, idempotency_key=key)
        return await self.call("RefundPayment", request, "U-admin", ("admin",))

    async def refund_rest(self, payment_id: str, key: str) -> Any:
        request = pb.RefundChargeRequest(key=key, payment_id=payment_id, reason="order cancelled")
        return await self.call("RefundCharge", request, "")

    async def payment(self, payment_id: str, user: str = "U-1") -> Any:
        return await self.call("GetPayment", pb.GetPaymentRequest(id=payment_id), user)

    async def balance(self, user: str = "U-1") -> int:
        return (await self.call("GetWallet", pb.GetWalletRequest(), user)).balance

    async def recover(self, seconds: float = 7_200) -> None:
        """Advances the clock, and runs recovery until nothing is due."""
        self.clock.advance(seconds)
        while await recover_payments(self.deps):
            pass

    async def status(self, key: str) -> Status:
        (found,) = await self.rows("SELECT status FROM payments WHERE key = $1", key)
        return Status(found["status"])

    async def rows(self, sql: str, *values: Any) -> list[Any]:
        return await self.deps.database.read(lambda tx: tx.fetch(sql, *values))

    async def account(self, account: str, currency: str = "EUR") -> int:
        sql = "SELECT SUM(amount) AS total FROM postings WHERE account = $1 AND currency = $2"
        return (await self.rows(sql, account, currency))[0]["total"] or 0

    async def events(self) -> list[pb.PaymentRefunded]:
        rows = await self.rows("SELECT payload FROM souk_outbox ORDER BY time, id")
        return [pb.PaymentRefunded.FromString(row["payload"]) for row in rows]

    async def reconcile(self) -> None:
        """Checks everything that must be true of a system at rest."""
        unbalanced = await self.rows(
            "SELECT transaction_id FROM postings GROUP BY transaction_id, currency HAVING SUM(amount) <> 0"
        )
        assert not unbalanced
        for wallet in await self.rows("SELECT user_id, currency, balance FROM wallets"):
            assert await self.account(f"wallet/{wallet['user_id']}", wallet["currency"]) == wallet["balance"]
        for currency in ("EUR", "USD"):
            assert -await self.account("bank", currency) == await self.bank.taken(currency)
            assert await self.account("suspense", currency) == 0
            kept = "SELECT SUM(amount - refunded) AS total FROM payments WHERE currency = $1 AND purpose = 'order'"
            held = " AND status IN ('CAPTURED', 'PARTIALLY_REFUNDED', 'REFUNDED')"
            total = (await self.rows(kept + held, currency))[0]["total"] or 0
            assert await self.account("sales", currency) == total
        left_over = (
            "SELECT id FROM payments WHERE cancelled AND status NOT IN ('BLOCKED', 'VOIDED', 'REFUNDED', 'DECLINED')"
        )
        assert not await self.rows(left_over)


async def _nobody_waits(seconds: float) -> None:
    """Stands for the wait of the bank's slow cards: returns at once."""
    raise TimeoutError


@asynccontextmanager
async def open_till(
    folder: Path,
    clock: FakeClock,
    faults: Faults = INERT,
    wrap: Callable[[CardProvider], CardProvider] = lambda provider: provider,
    url: str | None = None,
) -> AsyncIterator[Till]:
    """Runs Payment inside the block, as one process would; to enter it again on the same folder is a restart."""
    async with service_host(service, folder, clock=clock, postgres_url=url) as host:
        bank = await SandboxBank.open(folder, clock, _nobody_waits)
        deps = Deps(
            database=host.database,
            outbox=host.outbox,
            provider=wrap(InProcessProvider(bank, TIMEOUT)),
            clock=clock,
            faults=faults,
            participant=TwoPhaseParticipant(host.database),
        )
        yield Till(deps, HeldToContract(PaymentServicer(deps)), bank, clock)
        await bank.close()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest) -> str | None:
    return request.getfixturevalue("postgres_url") if request.param == "postgres" else None


@pytest.fixture
async def desk(tmp_path: Path, clock: FakeClock, url: str | None) -> AsyncIterator[Till]:
    async with open_till(tmp_path, clock, url=url) as desk:
        yield desk
        await desk.reconcile()


@pytest.fixture
def till() -> Any:
    """Gives the function by which a test starts Payment itself."""
    return open_till
