"""The Payment service: its composition root."""

import asyncio
from dataclasses import replace
from functools import partial
from importlib.resources import files

from shop.payment.v1 import payment_pb2 as pb

from marketplace.payment.adapters.api_key import ApiKey
from marketplace.payment.adapters.decisions import OrderDecisions
from marketplace.payment.adapters.guarded_provider import BREAKER, CARD_PROVIDER, GuardedProvider
from marketplace.payment.adapters.http_provider import HttpProvider
from marketplace.payment.adapters.in_process_provider import InProcessProvider
from marketplace.payment.adapters.sandbox.bank import SandboxBank
from marketplace.payment.background import Differences, tasks
from marketplace.payment.consumers import SUBSCRIPTIONS, consumers
from marketplace.payment.demo import load_demo
from marketplace.payment.deps import Deps
from marketplace.payment.ports import CardProvider
from marketplace.payment.servicer import PaymentServicer
from marketplace.payment.settings import SETTINGS, ProviderSettings, ReconcileSettings, read_settings
from marketplace.payment.store.accounts import ACCOUNTS
from marketplace.payment.store.provider_book import require_same_book
from marketplace.payment.store.records import records
from marketplace.payment.use_cases.reconcile_provider import ReconcileProvider
from souk.sdk import (
    MICROSECONDS,
    Breaker,
    ConfigurationError,
    Service,
    ServiceContext,
    ServiceParts,
    TwoPhaseParticipant,
    TwoPhaseResolver,
)

__all__ = ["build", "service"]


async def build(context: ServiceContext) -> ServiceParts:
    """Puts the service together."""
    settings = read_settings(context.settings)
    breaker, in_background = Breaker(BREAKER), Breaker(BREAKER)
    bank = await _provider(context, settings.provider)
    deps = Deps(
        database=context.database,
        outbox=context.outbox,
        provider=GuardedProvider(bank, breaker, context.clock, context.tracer),
        clock=context.clock,
        faults=context.faults,
        inbox=context.inbox,
        participant=TwoPhaseParticipant(context.database),
    )
    resolver = TwoPhaseResolver(deps.participant, OrderDecisions(partial(context.channel, "order")).decision)
    # Background calls have a breaker of their own, so that they use no probe permit of the one for live requests.
    background = replace(deps, provider=GuardedProvider(bank, in_background, context.clock, context.tracer))
    differences = Differences()
    reconcile = _reconcile(settings.reconcile, differences)
    return ServiceParts(
        servicer=PaymentServicer(deps),
        consumers=consumers(deps),
        tasks={
            **tasks(background, reconcile, settings.reconcile.interval),
            "card provider": partial(_hold, deps.provider),
            "two-phase commits in doubt": resolver.run,
        },
        demo=partial(load_demo, deps),
        breakers={CARD_PROVIDER: breaker, f"{CARD_PROVIDER}/in-background": in_background},
        collectors=differences.collectors(reconcile.memory),
        accounts=ACCOUNTS,
        records=records,
    )


async def _provider(context: ServiceContext, settings: ProviderSettings) -> CardProvider:
    if settings.url:
        return HttpProvider(settings.url, settings.timeout, ApiKey(settings.key_file))
    bank = await SandboxBank.open(context.folder, context.clock)
    try:
        await require_same_book(context.database, await bank.identity())
    except ConfigurationError:
        await bank.close()
        raise
    return InProcessProvider(bank, settings.timeout)


def _reconcile(settings: ReconcileSettings, differences: Differences) -> ReconcileProvider:
    interval = round(settings.interval * MICROSECONDS)
    return ReconcileProvider(differences.count, interval, report_only=settings.report_only)


async def _hold(provider: CardProvider) -> None:
    """Closes the provider when the process stops."""
    try:
        await asyncio.Event().wait()
    finally:
        await provider.close()


service = Service(
    name="payment",
    contract=pb.DESCRIPTOR.services_by_name["PaymentService"],
    build=build,
    migrations=files("marketplace.payment") / "migrations",
    subscriptions=SUBSCRIPTIONS,
    settings=SETTINGS,
    calls=("order",),
    reaches=("provider_url",),
)
