"""Payment in Node on a real PostgreSQL and beside the sandbox bank: keys, undoing, two replicas, and the books."""

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any
from zlib import crc32

import asyncpg
import grpc
import grpc.aio
import pytest
from shop.payment.v1 import payment_pb2 as pb
from shop.payment.v1.payment_pb2_grpc import PaymentServiceStub

from souk.kernel.clock import SystemClock
from souk.kernel.context import Caller
from souk.rpc.caller_token import CALLER_KEY, CallerTokens
from souk.rpc.status import details_of
from souk.testing.postgres import TemporaryPostgres
from tests.examples.node import installed

pytestmark = pytest.mark.full

SECRET = "what nobody guesses, as in every test"
START = 60.0
USER = "U-1"
PREFIX = "/shop.payment.v1.PaymentService/"


@dataclass
class Market:
    """Two processes of Payment in Node on one database, and their bank."""

    stubs: list[PaymentServiceStub]
    database: asyncpg.Connection

    def call(
        self, method: str, request: Any, *, service: str = "order", subject: str = USER, roles: str = "", at: int = 0
    ) -> Awaitable[Any]:
        """Calls a method of one of the processes, as a service for a user."""
        tokens = CallerTokens(SECRET.encode(), service, SystemClock())
        caller = Caller(subject, frozenset(filter(None, [roles])))
        metadata = ((CALLER_KEY, tokens.sign(caller, "payment", PREFIX + method)),)
        answer: Awaitable[Any] = getattr(self.stubs[at], method)(request, metadata=metadata, timeout=30.0)
        return answer

    async def refusal(self, call: Awaitable[Any]) -> tuple[grpc.StatusCode, str]:
        """Gives the status and the reason with which a call is refused."""
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await call
        return failed.value.code(), details_of(tuple(failed.value.trailing_metadata() or ())).reason

    async def save_card(self, token: str = "tok_visa") -> str:
        """Saves a card of the user; gives its id."""
        request = pb.CreatePaymentMethodRequest(card_token=token, is_default=True)
        return str((await self.call("CreatePaymentMethod", request, service="gateway")).id)

    async def sums(self) -> dict[str, int]:
        """Gives the balance of each account, after checking that the books agree with themselves."""
        uneven = "SELECT transaction_id FROM postings GROUP BY transaction_id HAVING SUM(amount) <> 0"
        assert await self.database.fetch(uneven) == []
        rows = await self.database.fetch("SELECT account, SUM(amount)::bigint AS n FROM postings GROUP BY account")
        return {row["account"]: row["n"] for row in rows if row["n"]}


@pytest.fixture
async def market(postgres_server: TemporaryPostgres) -> AsyncIterator[Market]:
    main = installed("payment-node") / "main.js"
    url = await postgres_server.create_migrated("payment", files("marketplace.payment") / "migrations")
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="souk-pay-")))
        bank = (sys.executable, "-m", "marketplace.payment.adapters.sandbox_server", "--book", str(folder / "bank"))
        await _started(stack, (*bank, "--socket", str(folder / "bank.sock")), dict(os.environ), "sandbox bank", folder)
        settings = {
            "SOUK_DATA": str(folder),
            "SOUK_SECRET": SECRET,
            "SOUK_POSTGRES": url,
            "SOUK_BROKER": f"unix://{folder}/no-bus.sock?retention=60",
            "SOUK_PAYMENT_PROVIDER_URL": f"unix:{folder / 'bank.sock'}",
            "SOUK_PAYMENT_PROVIDER_KEY_FILE": str(folder / "bank" / "provider-key"),
        }
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SOUK_")}
        stubs = []
        for number in (1, 2):
            own = {**kept, **settings, "SOUK_INSTANCE": f"payment-{number}"}
            address = await _started(stack, ("node", str(main)), own, "ready payment ", folder)
            channel = await stack.enter_async_context(grpc.aio.insecure_channel(address))
            stubs.append(PaymentServiceStub(channel))
        database = await asyncpg.connect(url)
        stack.push_async_callback(database.close)
        yield Market(stubs, database)


async def _started(
    stack: AsyncExitStack, command: tuple[str, ...], environment: dict[str, str], ready: str, folder: Path
) -> str:
    """Starts a process that ends well with the test; gives what follows `ready` in its first line."""
    with (folder / "log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *command, env=environment, stdout=asyncio.subprocess.PIPE, stderr=log
        )

    async def stop() -> None:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(START):
            assert await process.wait() == 0, (folder / "log").read_text()

    stack.push_async_callback(stop)
    assert process.stdout is not None
    async with asyncio.timeout(START):
        line = (await process.stdout.readline()).decode().strip()
    assert line.startswith(ready), f"{line}\n{(folder / 'log').read_text()}"
    return line.removeprefix(ready)


def charge(key: str, card: str = "", amount: int = 1_200) -> pb.ChargeRequest:
    source = pb.ChargeSource(card=pb.CardSource(payment_method_id=card)) if card else pb.ChargeSource(wallet={})
    return pb.ChargeRequest(key=key, order_id="ORD-1", user_id=USER, amount=amount, currency="EUR", source=source)


def top_up(key: str, amount: int, token: str = "tok_visa") -> pb.TopUpWalletRequest:
    return pb.TopUpWalletRequest(amount=amount, currency="EUR", card_token=token, idempotency_key=key)


async def test_a_key_is_one_charge_however_often_and_wherever_it_is_asked_for(market: Market) -> None:
    card = await market.save_card()
    answers = await asyncio.gather(*(market.call("Charge", charge("k-1", card), at=n % 2) for n in range(12)))
    assert len({answer.payment_id for answer in answers}) == 1
    assert {answer.status for answer in answers} == {pb.PAYMENT_STATUS_CAPTURED}
    other = market.refusal(market.call("Charge", charge("k-1", card, amount=5)))
    assert await other == (grpc.StatusCode.ALREADY_EXISTS, "IDEMPOTENCY_KEY_REUSED")
    assert await market.sums() == {"bank": -1_200, "sales": 1_200}


async def test_a_wallet_is_never_overdrawn_by_two_replicas(market: Market) -> None:
    await market.call("TopUpWallet", top_up("t-1", 5_000), service="gateway")
    calls = [market.call("Charge", charge(f"w-{n}"), at=n % 2) for n in range(8)]
    ends = await asyncio.gather(*calls, return_exceptions=True)
    assert sum(isinstance(end, pb.ChargeResult) for end in ends) == 4
    failed = [end for end in ends if isinstance(end, grpc.aio.AioRpcError)]
    assert {details_of(tuple(one.trailing_metadata() or ())).reason for one in failed} == {"PAYMENT_DECLINED"}
    wallet = await market.call("GetWallet", pb.GetWalletRequest(), service="gateway")
    assert (wallet.balance, wallet.currency) == (200, "EUR")
    assert await market.sums() == {"bank": -5_000, "sales": 4_800, f"wallet/{USER}": 200}


async def test_what_is_cancelled_is_given_back_or_never_charged(market: Market) -> None:
    card = await market.save_card()
    await market.call("Charge", charge("c-1", card))
    for _ in range(2):
        done = await market.call("CancelCharge", pb.CancelChargeRequest(key="c-1", order_id="ORD-1"), at=1)
        assert (done.status, done.settled) == (pb.PAYMENT_STATUS_REFUNDED, True)
    done = await market.call("CancelCharge", pb.CancelChargeRequest(key="c-2", order_id="ORD-1"))
    assert (done.status, done.settled) == (pb.PAYMENT_STATUS_UNSPECIFIED, True)
    late = market.refusal(market.call("Charge", charge("c-2", card)))
    assert await late == (grpc.StatusCode.ABORTED, "CHARGE_CANCELLED")
    assert await market.sums() == {}
    assert await market.database.fetchval("SELECT count(*) FROM souk_outbox") == 0


async def test_a_refund_is_published_once_and_relayed_by_nobody_but_the_holder_of_its_partition(market: Market) -> None:
    card = await market.save_card()
    paid = await market.call("Charge", charge("r-1", card))
    request = pb.RefundChargeRequest(key="r", payment_id=paid.payment_id, reason="cancelled")
    answers = await asyncio.gather(*(market.call("RefundCharge", request, at=n % 2) for n in range(6)))
    assert {answer.status for answer in answers} == {pb.PAYMENT_STATUS_REFUNDED}
    (event,) = await market.database.fetch("SELECT * FROM souk_outbox")
    assert (event["type"], event["key"]) == ("shop.payment.v1.PaymentRefunded", "ORD-1")
    assert event["partition"] == crc32(b"ORD-1") % 64
    refunded = pb.PaymentRefunded.FromString(event["payload"])
    assert (refunded.amount, refunded.refunded_total, refunded.user_id) == (1_200, 1_200, USER)
    async with asyncio.timeout(START):
        while len(held := await market.database.fetch("SELECT owner FROM souk_outbox_lease WHERE owner <> ''")) < 64:
            await asyncio.sleep(0.1)
    assert {one["owner"].partition("-")[0] for one in held} == {"payment"}
    assert await market.sums() == {}


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        ("tok_declined", (grpc.StatusCode.FAILED_PRECONDITION, "PAYMENT_DECLINED")),
        ("tok_error", (grpc.StatusCode.UNAVAILABLE, "PAYMENT_UNAVAILABLE")),
        ("tok_timeout", None),
    ],
)
async def test_what_the_bank_does_not_do(
    market: Market, token: str, expected: tuple[grpc.StatusCode, str] | None
) -> None:
    call = market.call("Charge", charge("b-1", await market.save_card(token)))
    if expected is None:
        assert (await call).status == pb.PAYMENT_STATUS_CAPTURED  # the answer is lost, and is asked for by its key
        return
    assert await market.refusal(call) == expected
    assert await market.sums() == {}


async def test_who_may_call_what(market: Market) -> None:
    denied = (grpc.StatusCode.PERMISSION_DENIED, "FORBIDDEN")
    assert await market.refusal(market.call("Charge", charge("x"), service="user")) == denied
    assert await market.refusal(market.call("Charge", charge("x"), subject="U-2")) == denied
    refund = pb.RefundPaymentRequest(id="PAY-1", amount=1, reason="x", idempotency_key="x")
    assert await market.refusal(market.call("RefundPayment", refund, service="gateway")) == denied
    wallet = market.call("GetWallet", pb.GetWalletRequest(), service="gateway", subject="")
    assert (await market.refusal(wallet))[0] is grpc.StatusCode.UNAUTHENTICATED
    two_phases = market.call("PrepareCharge", pb.PrepareChargeRequest(user_id=USER))
    assert (await market.refusal(two_phases))[1] == "TWO_PHASE_COMMIT_UNAVAILABLE"
    assert (await market.refusal(market.call("Charge", charge("x", amount=0))))[1] == "INVALID_REQUEST"
