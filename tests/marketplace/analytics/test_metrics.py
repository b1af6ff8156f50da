"""How far behind the figures are, as Prometheus sees it."""

import pytest
from prometheus_client import CollectorRegistry

from souk.telemetry.metrics import exposition
from tests.marketplace.analytics.conftest import Desk, Sold


@pytest.mark.parametrize("url", [None])
async def test_the_lag_is_that_of_the_last_fact(desk: Desk) -> None:
    registry = CollectorRegistry()
    for collector in desk.parts.collectors:
        registry.register(collector)
    assert "\nsouk_analytics_lag_seconds " not in exposition(registry).decode()
    order = Sold("O-1", desk.clock.now())
    event = order.confirmed()
    desk.clock.advance(3)
    await desk.handle(event)
    shown = exposition(registry).decode()
    assert 'souk_analytics_facts_total{kind="confirmed"} 1.0' in shown
    assert "souk_analytics_lag_seconds 3.0" in shown
    desk.clock.advance(60)
    await desk.handle(event)  # a repeat is no fact
    assert exposition(registry).decode() == shown
