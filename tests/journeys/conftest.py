"""Starts the system in each mode: as one process, as a process for each service, and as a fleet.

With JOURNEYS_OF, the path of a file that tests/market/given_system.py describes, the system is one that runs already.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from souk.testing.system import LONG, MODES, System
from tests.market.given_system import GivenSystem, given_system
from tests.market.invariants import await_rest, violations
from tests.market.shop import Shop

HERE = Path(__file__).parent
GIVEN = given_system()
STARTED = [pytest.param(mode, marks=[pytest.mark.full] if mode in LONG else []) for mode in MODES]


@pytest.fixture(scope="package", params=[GIVEN.mode] if GIVEN else STARTED)
def system(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System | GivenSystem]:
    """A running system with demo data; at the end it must stop by itself."""
    if GIVEN:
        yield GIVEN
        return
    with MODES[request.param](tmp_path_factory.mktemp(request.param)) as system:
        yield system
        assert set(system.stop()) == {0}, system.output()


@pytest.fixture(scope="package")
def shop(system: System | GivenSystem) -> Iterator[Shop]:
    """The shop of the system; at the end its data must be consistent."""
    shop = system.shop() if isinstance(system, GivenSystem) else Shop(system.mode, system.url, system.data)
    yield shop
    shop.close()
    assert system.dead() == [], system.output()
    await_rest(shop.books)
    assert violations(shop.books) == []


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the tests of a mode into one group, so that several workers start each system once."""
    for item in items:
        if isinstance(item, pytest.Function) and item.path.parent == HERE and "system" in item.fixturenames:
            item.add_marker(pytest.mark.xdist_group(f"journeys, {item.callspec.params['system']}"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """Shows what the system logged when a test of it fails."""
    report = yield
    system = getattr(item, "funcargs", {}).get("system")
    if report.failed and system is not None:
        report.sections.append((f"system, {system.mode}", _without_successes(system.output())))
    return report


def _without_successes(output: str) -> str:
    """Leaves out the log lines of requests that succeeded."""
    lines = output.splitlines()
    return "\n".join(line for line in lines if '"event":"request"' not in line or '"status":50' in line)
