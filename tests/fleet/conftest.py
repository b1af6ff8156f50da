"""A fleet that the tests share if they leave it as it was, with its shop and its operator; other tests start their
own."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from souk.testing.system import System, fleet
from tests.market.books import Books
from tests.market.buyers import Crowd, Wishes
from tests.market.invariants import await_rest, violations
from tests.market.operator import Operator
from tests.market.shop import Buyer, Shop

HERE = Path(__file__).parent
SCALE = ("--scale", "order=2,inventory=3")
OPEN_FOR, LONGEST_OPEN = 1.0, 2.0
RESILIENCE = f"""
[default.breaker]
open_for = {OPEN_FOR}
longest_open_for = {LONGEST_OPEN}
"""
"""Shorter waits than by default, for shorter tests."""
STOCK = 100_000
PRICE = 1_200
REST = 120.0


@dataclass
class Bazaar:
    """A fleet, its operator, and a few buyers with all that an order needs."""

    system: System

    @cached_property
    def shop(self) -> Shop:
        """The client of the fleet's shop."""
        return Shop("fleet", self.system.url, self.system.data)

    @cached_property
    def operator(self) -> Operator:
        """The operator of the fleet."""
        return Operator(self.system.data)

    @property
    def accounts(self) -> list[Buyer]:
        """Buyers with an address and a default card, logged in not long ago."""
        for buyer in self._accounts:
            buyer.renew()
        return self._accounts

    @cached_property
    def _accounts(self) -> list[Buyer]:
        return [self.shop.buyer() for _ in range(4)]

    @cached_property
    def product(self) -> str:
        """A product with more stock than the tests can buy."""
        return self.shop.product(PRICE, STOCK)

    def prepare(self) -> None:
        """Makes the buyers and the product now, before anything is taken away."""
        assert self.accounts
        assert self.product

    def wishes(self, name: str, methods: Sequence[str] = ("card",)) -> Wishes:
        """Makes orders of that product, one piece each."""
        return Wishes(self.accounts, [(self.product, 1, PRICE)], name, methods)

    def close(self) -> None:
        """Closes the connections."""
        self.shop.close()

    def audit(self) -> None:
        """Waits until nothing is under way, and raises AssertionError for what is inconsistent then."""
        books = Books(self.system.data)
        await_rest(books, REST)
        assert violations(books) == [], self.system.output()

    def kept(self, crowd: Crowd) -> None:
        """Raises AssertionError if an order that a buyer got is not in the databases."""
        told = {answers[-1].order_id for answers in crowd.ends().values() if answers and answers[-1].status == 201}
        lost = told - {order.id for order in Books(self.system.data).orders()}
        assert not lost, f"{len(lost)} orders were confirmed, and are not there: {sorted(lost)[:5]}"

    def close_books(self) -> None:
        """Waits until each process is ready again, and audits."""
        self.operator.start_stopped()
        self.operator.await_ready()
        self.audit()


Opened = Callable[..., AbstractContextManager[Bazaar]]


@contextmanager
def opened_bazaar(folder: Path, *arguments: str, settings: Mapping[str, str] | None = None) -> Iterator[Bazaar]:
    """Starts a fleet with more `arguments`, and kills it at the end if it still runs."""
    with fleet(folder, arguments=arguments, settings=settings) as system:
        bazaar = Bazaar(system)
        try:
            yield bazaar
        finally:
            bazaar.close()


@pytest.fixture
def opened(tmp_path: Path) -> Opened:
    """Starts a fleet for one test, and kills it at the end."""
    return lambda *arguments, **more: opened_bazaar(tmp_path, *arguments, **more)


@pytest.fixture(scope="package")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bazaar]:
    """The fleet that tests share; it is killed at the end, as tests/supervisor tests how a fleet stops."""
    folder = tmp_path_factory.mktemp("shared")
    (folder / "resilience.toml").write_text(RESILIENCE)
    with opened_bazaar(folder, *SCALE, settings={"SOUK_RESILIENCE": str(folder / "resilience.toml")}) as bazaar:
        bazaar.prepare()
        yield bazaar


@pytest.fixture(scope="package")
def meshed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bazaar]:
    """The fleet with a mesh that tests share; in the end its data must be consistent, and it must stop well."""
    with opened_bazaar(tmp_path_factory.mktemp("mesh"), "--mesh") as bazaar:
        bazaar.prepare()
        yield bazaar
        bazaar.audit()
        assert set(bazaar.system.stop()) == {0}, bazaar.system.output()


@pytest.fixture
def bazaar(shared: Bazaar) -> Iterator[Bazaar]:
    """The shared fleet with every process ready; after the test it must be so again, and its data must be
    consistent."""
    shared.operator.await_ready()
    shared.operator.calm()
    yield shared
    shared.close_books()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the tests of the shared fleet into one group, so that it is started once."""
    for item in items:
        if isinstance(item, pytest.Function) and item.path.parent == HERE and "shared" in item.fixturenames:
            item.add_marker(pytest.mark.xdist_group("the shared fleet"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """Shows what the fleet logged when a test of it fails."""
    report = yield
    bazaar = getattr(item, "funcargs", {}).get("bazaar")
    if report.failed and bazaar is not None:
        report.sections.append(("fleet", _without_successes(bazaar.system.output())))
    return report


def _without_successes(output: str) -> str:
    """Leaves out the log lines of requests that succeeded."""
    lines = output.splitlines()
    return "\n".join(line for line in lines if '"event":"request"' not in line)
