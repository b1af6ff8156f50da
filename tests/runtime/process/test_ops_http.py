"""A process's numbers and health over HTTP."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter

from souk.kernel.errors import ConfigurationError
from souk.runtime.process.ops_http import scraped
from souk.testing.free_ports import free_port
from souk.testing.processes import service


@dataclass
class Ready:
    """Reports the readiness that a test sets."""

    yes: bool = False

    async def __call__(self) -> bool:
        return self.yes


@pytest.fixture
def ready() -> Ready:
    return Ready()


@pytest.fixture
async def client(ready: Ready) -> AsyncIterator[httpx.AsyncClient]:
    registry = CollectorRegistry()
    Counter("orders", "Orders.", registry=registry).inc(3)
    async with scraped(0, registry, ready) as address, httpx.AsyncClient(base_url=f"http://{address}") as client:
        yield client


async def test_metrics_are_prometheus_text(client: httpx.AsyncClient) -> None:
    answer = await client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "orders_total 3.0" in answer.text


async def test_it_is_healthy_before_it_is_ready(client: httpx.AsyncClient, ready: Ready) -> None:
    assert (await client.get("/healthz")).status_code == 200
    assert (await client.get("/readyz")).status_code == 503
    ready.yes = True
    assert (await client.get("/readyz")).status_code == 200


async def test_nothing_else_is_there(client: httpx.AsyncClient) -> None:
    assert (await client.get("/")).status_code == 404
    assert (await client.post("/metrics")).status_code == 405
    assert (await client.post("/metrics")).headers["allow"] == "GET, HEAD"
    head = await client.head("/healthz")
    assert (head.status_code, head.content) == (200, b"")


async def test_a_port_that_is_taken_is_said_in_one_line(client: httpx.AsyncClient, ready: Ready) -> None:
    with pytest.raises(ConfigurationError, match="choose another with --metrics-port"):
        async with scraped(client.base_url.port, CollectorRegistry(), ready):
            pass


async def test_without_a_port_nothing_is_served(ready: Ready) -> None:
    async with scraped(None, CollectorRegistry(), ready) as address:
        assert address == ""


async def test_a_service_serves_them(tmp_path: Path) -> None:
    port = free_port()
    async with (
        service("notification", tmp_path, "--metrics-port", str(port)),
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client,
    ):
        assert (await client.get("/readyz")).text == "ready\n"
        assert "process_resident_memory_bytes" in (await client.get("/metrics")).text
