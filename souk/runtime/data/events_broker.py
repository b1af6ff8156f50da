"""The broker that events go through, opened for one process."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

from souk.descriptors.event_contract import EventContract
from souk.events.broker import Broker, BrokerUnavailable
from souk.events.brokers.by_url import open_broker
from souk.events.pubsub.fitness import unfit_for
from souk.kernel.errors import ConfigurationError
from souk.runtime.config.settings import EventSettings
from souk.telemetry.health import Probe
from souk.telemetry.logs import logger

PATIENCE = 5.0
"""Seconds that a start waits for the broker to say what it guarantees."""


@asynccontextmanager
async def opened_broker(
    settings: EventSettings, events: Collection[EventContract] = ()
) -> AsyncIterator[Broker | None]:
    """Gives the broker that the settings name, which need not be running; None without one.

    Raises ConfigurationError for a URL that cannot be read, a client that is not installed, and a broker that answers
    and, as it is set, loses events or their order, or does not keep these `events` for as long as their contracts say.
    """
    if settings.url is None:
        yield None
        return
    broker = open_broker(settings.url)
    try:
        await _refuse_unfit(broker, events)
        yield broker
    finally:
        await broker.close()


def is_fit(broker: Broker, events: Collection[EventContract] = ()) -> Probe:
    """Probes whether the broker answers, and keeps what it is given for as long as the contracts of `events` say."""

    async def probe() -> str:
        return unfit_for(events, await broker.inspect())

    return probe


async def _refuse_unfit(broker: Broker, events: Collection[EventContract]) -> None:
    try:
        async with asyncio.timeout(PATIENCE):
            why = unfit_for(events, await broker.inspect())
    except (BrokerUnavailable, TimeoutError) as error:
        logger("hosting").warning("the broker does not answer; events wait until it does", error=str(error))
        return
    if why:
        raise ConfigurationError(f"SOUK_BROKER: this broker would lose events: {why}")
