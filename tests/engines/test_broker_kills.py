"""Each broker is killed once while a fleet takes orders: no mail is missing, and the books are right."""

from pathlib import Path

import pytest

from tests.chaos.broker_kills import BUS, SERVERS, strike

pytestmark = [pytest.mark.engines, pytest.mark.xdist_group("broker kills")]


@pytest.mark.parametrize("broker", [BUS, *SERVERS])
async def test_every_order_has_its_mail_although_the_broker_was_killed(broker: str, tmp_path: Path) -> None:
    report = await strike(broker, tmp_path, orders=120, kills=1)
    print(report.line())
    assert report.is_well, report
