"""Each broker is killed once while a fleet takes orders: nothing that follows from them is missing, and the books are
right."""

from pathlib import Path

import pytest

from tests.chaos.broker_kills.run import strike
from tests.chaos.brokers import BROKERS

pytestmark = [pytest.mark.engines, pytest.mark.xdist_group("broker kills")]


@pytest.mark.parametrize("broker", BROKERS)
async def test_all_follows_from_every_order_although_the_broker_was_killed(broker: str, tmp_path: Path) -> None:
    report = await strike(broker, tmp_path, orders=60, kills=1)
    print(report.line())
    assert report.is_well, report
