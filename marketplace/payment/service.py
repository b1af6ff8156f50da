"""The Payment service: its composition root."""

import asyncio
from dataclasses import replace
from functools import partial
from importlib.resources import files

from marketplace.payment.adapters.announcer import OutboxAnnouncer
from marketplace.payment.book_store import require_same_book
from marketplace.payment.card_store import SqlCards
from marketplace.payment.comparison_store import SqlComparison
from marketplace.payment.differences import Differences
from marketplace.payment.ledger_store import SqlLedger
from marketplace.payment.office import Office
from marketplace.payment.use_cases.erase_cards import CONSUMER, erase_cards
from marketplace.payment.use_cases.recover import BATCH, recover
from shop.payment.v1 import payment_pb2 as pb
from shop.user.v1 import user_pb2

from marketplace.payment.adapters.api_key import ApiKey
from marketplace.payment.adapters.guarded_provider import SETTINGS, GuardedProvider
from marketplace.payment.adapters.http_provider import HttpProvider
from marketplace.payment.adapters.in_process_provider import InProcessProvider
from marketplace.payment.adapters.sandbox.bank import SandboxBank
from marketplace.payment.demo import load_demo
from marketplace.payment.ports import CardProvider
from marketplace.payment.servicer import PaymentServicer
from marketplace.payment.settings import CAN_BE_SET, PaymentSettings, read_settings
from marketplace.payment.store import SqlPayments
from marketplace.payment.use_cases.reconcile_provider import Pace, ReconcileProvider
from souk.kernel.clock import MICROSECONDS
from souk.kernel.errors import ConfigurationError
from souk.resilience.breaker import Breaker
from souk.runtime.service import Host, Parts, Service, Subscription
from souk.store.inbox import Inbox

__all__ = ["build", "reconcile_for_ever", "recover_for_ever", "service"]

RECOVERY_INTERVAL = 1.0
"""Seconds between two looks for what was begun and left."""


async def build(host: Host) -> Parts:
    """Puts the service together."""
    settings = read_settings(host.settings)
    breaker, in_background = Breaker(SETTINGS), Breaker(SETTINGS)
    way = await _way_to_the_provider(host, settings)
    provider = GuardedProvider(way, breaker, host.clock)
    office = Office(
        database=host.database,
        payments=SqlPayments(),
        ledger=SqlLedger(),
        cards=SqlCards(),
        announcer=OutboxAnnouncer(host.outbox),
        provider=provider,
        clock=host.clock,
        faults=host.faults,
    )
    # What nobody waits for has a breaker of its own: it takes no probe of the one around live requests.
    background = replace(office, provider=GuardedProvider(way, in_background, host.clock))
    differences = Differences()
    reconcile = ReconcileProvider(
        background,
        SqlComparison(),
        Pace(round(settings.reconcile_interval * MICROSECONDS), settings.report_only),
        differences.count,
    )
    return Parts(
        servicer=PaymentServicer(office),
        consumers={CONSUMER: partial(erase_cards, office=office, inbox=Inbox())},
        tasks={
            "recover payments": partial(recover_for_ever, background),
            "reconcile the card provider": partial(reconcile_for_ever, reconcile, settings.reconcile_interval),
            "card provider": partial(_hold, provider),
        },
        demo=partial(load_demo, office),
        breakers={"card-provider": breaker, "card-provider-in-background": in_background},
        collectors=differences.collectors(lambda: reconcile.failed_refunds),
    )


async def recover_for_ever(office: Office) -> None:
    """Ends what was begun and left, at start and from then on, until it is cancelled."""
    while True:
        if await recover(office) < BATCH:
            await asyncio.sleep(RECOVERY_INTERVAL)


async def reconcile_for_ever(reconcile: ReconcileProvider, interval: float) -> None:
    """Compares this book with the provider's record, until it is cancelled."""
    while True:
        await reconcile.look()
        await asyncio.sleep(interval)


async def _way_to_the_provider(host: Host, settings: PaymentSettings) -> CardProvider:
    if settings.provider_url:
        return HttpProvider(settings.provider_url, settings.provider_timeout, ApiKey(settings.provider_key_file))
    bank = await SandboxBank.open(host.folder, host.clock)
    try:
        await require_same_book(host.database, await bank.identity())
    except ConfigurationError:
        await bank.close()
        raise
    return InProcessProvider(bank, settings.provider_timeout)


async def _hold(provider: CardProvider) -> None:
    """Keeps the way to the provider open until the process stops."""
    try:
        await asyncio.Event().wait()
    finally:
        await provider.close()


service = Service(
    name="payment",
    contract=pb.DESCRIPTOR.services_by_name["PaymentService"],
    build=build,
    migrations=files("marketplace.payment") / "migrations",
    subscriptions=(Subscription(CONSUMER, (user_pb2.UserDeleted.DESCRIPTOR.full_name,)),),
    settings=CAN_BE_SET,
)
