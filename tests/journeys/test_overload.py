"""A gateway that has more to do than it can: browsing is shed before checkout, and health is always answered."""

import asyncio
from collections import Counter
from pathlib import Path

import httpx
import pytest

from souk.testing.system import embedded
from tests.market.api import log_in, new_key, wish

pytestmark = [pytest.mark.full, pytest.mark.xdist_group("overload")]

RUNNING = 5
"""Requests that may run. Browsing has three places of them, so two checkouts find room however much is browsed."""
BROWSERS, BUYERS, ORDERS = 60, 2, 10
SHED_ENOUGH = 50
MOST = 20_000
"""Requests for products after which a gateway that sheds none fails the test."""
PATIENCE = 300.0
NO_RATES = "[reads]\noff = true\n[writes]\noff = true\n"


class Shop:
    """Counts the answers by what was asked for."""

    def __init__(self, url: str, token: str) -> None:
        self.url, self.bearer = url, {"authorization": f"Bearer {token}"}
        self.products, self.orders, self.health = Counter[int](), Counter[int](), Counter[int]()
        self.codes: Counter[str] = Counter()
        self.over = asyncio.Event()

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.url, timeout=PATIENCE)

    async def browse(self) -> None:
        async with self.client() as client:
            while not self.over.is_set() and self.products.total() < MOST:
                answer = await client.get("/api/v1/products")
                self.products[answer.status_code] += 1
                if answer.status_code == 503:
                    self.codes[answer.json()["code"]] += 1
                    assert answer.headers["retry-after"]

    async def buy(self) -> None:
        async with self.client() as client:
            for _ in range(ORDERS):
                body = wish(("P-101", 1, 1200), key=new_key())
                answer = await client.post("/api/v1/orders", json=body, headers=self.bearer)
                self.orders[answer.status_code] += 1

    async def watch(self) -> None:
        async with self.client() as client:
            while not self.over.is_set():
                for path in ("/healthz", "/readyz"):
                    self.health[(await client.get(path)).status_code] += 1

    async def run(self) -> None:
        """Overloads the gateway until every order is answered and enough was shed."""
        async with asyncio.TaskGroup() as tasks:
            browsing = [tasks.create_task(self.browse()) for _ in range(BROWSERS)]
            tasks.create_task(self.watch())
            while self.products[503] < SHED_ENOUGH and not all(one.done() for one in browsing):
                await asyncio.sleep(0.01)
            await asyncio.gather(*(self.buy() for _ in range(BUYERS)))
            self.over.set()


def test_browsing_is_shed_before_checkout_and_health_is_always_answered(tmp_path: Path) -> None:
    policies = tmp_path / "limits.toml"
    policies.write_text(NO_RATES)
    settings = {"SOUK_LIMITS": "enforce", "SOUK_LIMIT_POLICIES": str(policies), "SOUK_RUNNING_REQUESTS": str(RUNNING)}
    with embedded(tmp_path, settings=settings) as system:
        with log_in(system.url, "demo@souk.test", "demo-password") as buyer:
            shop = Shop(system.url, buyer.headers["authorization"].removeprefix("Bearer "))
        asyncio.run(shop.run())
        metrics = httpx.get(f"{system.url}/metrics", timeout=PATIENCE).text
    assert shop.products[503] >= SHED_ENOUGH
    assert shop.codes.keys() == {"OVERLOADED"}
    assert shop.products.keys() == {200, 503}, "some are served all the same"
    assert shop.orders == {201: BUYERS * ORDERS}
    assert shop.health.keys() == {200}
    assert f'souk_gateway_overloaded_total{{outcome="refused",priority="low"}} {float(shop.products[503])}' in metrics
    assert 'souk_gateway_overloaded_total{outcome="refused",priority="high"} 0.0' in metrics
