"""A service of the marketplace as a process of its own, found in each real registry, and gone from it."""

import asyncio
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from souk.testing.processes import service
from souk.testing.registry.engines import EngineHarness, consul, etcd, eureka
from souk.testing.registry.harness import opened, watching

ENGINES: dict[str, Callable[[Path], Any]] = {"consul": consul, "etcd": etcd, "eureka": eureka}

pytestmark = pytest.mark.engines


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in ENGINES])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EngineHarness]:
    with ENGINES[request.param](tmp_path) as harness:
        yield harness


async def test_a_service_is_there_while_it_serves(engine: EngineHarness, tmp_path: Path) -> None:
    await engine.start()
    settings = {
        "SOUK_HOST": "127.0.0.1",
        "SOUK_REGISTRY": engine.url,
        "SOUK_INSTANCE": "product-7",
        "SOUK_VERSION": "1.2",
        "SOUK_ZONE": "b",
        "SOUK_SECRET": "only-for-this-test-0123456789abcdef",
    }
    async with opened(engine) as registry, watching(registry, "product") as watcher:
        async with service("product", tmp_path / "data", settings=settings) as process:
            await watcher.until(lambda it: list(it.known) == ["product-7"])
            instance = watcher.known["product-7"]
            assert (instance.address, instance.version, instance.zone) == (process.address, "1.2", "b")
            assert re.fullmatch(r"127\.0\.0\.1:\d+", instance.address)
            assert await process.end() == 0
        async with asyncio.timeout(engine.lease):
            await watcher.knows()
