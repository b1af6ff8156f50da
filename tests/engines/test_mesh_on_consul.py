"""The journeys of orders, money and accounts through a fleet with a mesh whose registry is Consul.

Sidecars take calls at ports of loopback then, and the control plane learns of instances from Consul.
"""

import asyncio
import inspect
from collections.abc import Callable, Iterator
from types import ModuleType

import pytest

from souk.testing.registry.engines import consul
from souk.testing.system import System, fleet
from tests.journeys import (
    test_accounts,
    test_after_the_order,
    test_place_order,
    test_races,
    test_slow_cards,
    test_wallet,
)
from tests.market.books import Books
from tests.market.invariants import await_rest, violations
from tests.market.operator import Operator
from tests.market.shop import Shop

pytestmark = [pytest.mark.engines, pytest.mark.xdist_group("a mesh on Consul")]

Journey = Callable[[Shop], None]
MODULES = (test_place_order, test_after_the_order, test_accounts, test_wallet, test_slow_cards, test_races)


def journeys(*modules: ModuleType) -> list[Journey]:
    """Finds the tests that need a shop and nothing else."""
    found = [one for module in modules for name, one in vars(module).items() if name.startswith("test_")]
    return [one for one in found if list(inspect.signature(one).parameters) == ["shop"]]


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with consul(tmp_path_factory.mktemp("consul")) as registry:
        asyncio.run(registry.start())
        settings = {"SOUK_REGISTRY": registry.url}
        with fleet(tmp_path_factory.mktemp("mesh"), settings=settings, arguments=("--mesh",)) as system:
            yield system
            assert set(system.stop()) == {0}, system.output()


@pytest.fixture(scope="module")
def shop(system: System) -> Iterator[Shop]:
    """The shop of the system; at the end its data must be consistent."""
    shop = Shop("mesh", system.url, system.data)
    yield shop
    shop.close()
    books = Books(system.data)
    await_rest(books)
    assert violations(books) == []


@pytest.mark.parametrize("journey", journeys(*MODULES), ids=lambda journey: journey.__name__)
def test_a_journey(journey: Journey, shop: Shop) -> None:
    journey(shop)


def test_each_process_takes_calls_at_the_port_of_its_sidecar(system: System) -> None:
    listed = Operator(system.data).ps()
    assert {one["instance"] for one in listed if one["kind"] == "sidecar"} >= {"order-1-sidecar", "gateway-1-sidecar"}
