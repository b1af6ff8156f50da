"""The broker that events go through, opened for one process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from souk.events.broker import Broker, BrokerUnavailable
from souk.events.brokers.by_url import open_broker
from souk.kernel.errors import ConfigurationError
from souk.runtime.config.settings import EventSettings
from souk.telemetry.health import Probe
from souk.telemetry.logs import logger

PATIENCE = 5.0
"""Seconds that a start waits for the broker to say what it guarantees."""


@asynccontextmanager
async def opened_broker(settings: EventSettings) -> AsyncIterator[Broker | None]:
    """Gives the broker that the settings name, which need not be running; None without one.

    Raises ConfigurationError for a URL that cannot be read, a client that is not installed, and a broker that answers
    and, as it is set, loses events or their order.
    """
    if settings.broker is None:
        yield None
        return
    broker = open_broker(settings.broker)
    try:
        await _refuse_unfit(broker)
        yield broker
    finally:
        await broker.close()


def is_fit(broker: Broker) -> Probe:
    """Probes whether the broker answers, and keeps what it is given."""

    async def probe() -> str:
        return (await broker.inspect()).unfit

    return probe


async def _refuse_unfit(broker: Broker) -> None:
    try:
        async with asyncio.timeout(PATIENCE):
            why = (await broker.inspect()).unfit
    except (BrokerUnavailable, TimeoutError) as error:
        logger("hosting").warning("the broker does not answer; events wait until it does", error=str(error))
        return
    if why:
        raise ConfigurationError(f"SOUK_BROKER: this broker would lose events: {why}")
