"""Measures what a refusal costs Inventory once a product is sold out, called through the same layers as Order's."""

import asyncio
import time
from dataclasses import dataclass
from itertools import count
from typing import Any

import uvloop
from google.protobuf.timestamp_pb2 import Timestamp
from shop.inventory.v1 import inventory_pb2, inventory_pb2_grpc

from bench.fleet_system import FleetSystem
from souk.kernel.clock import SystemClock
from souk.kernel.context import acting_as
from souk.rpc.call import CallFailed
from souk.runtime.calls.channels import open_calls
from souk.runtime.config.settings import CallSettings, DiscoverySettings
from souk.runtime.data.layout import DataLayout

_AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class Refusals:
    """Refusals per second, and microseconds of CPU for each in Inventory and in PostgreSQL."""

    per_second: float
    inventory: float
    postgres: float


def refusals(system: FleetSystem, product: str, seconds: float) -> Refusals:
    """Measures reservations of a sold-out product. Raises RuntimeError when one succeeds."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        before = system.usage()
        refused = runner.run(_ask_all(system, product, seconds))
        after = system.usage()
    each = {kind: (after[kind] - before.get(kind, 0.0)) * 1e6 / refused for kind in ("inventory", "postgres")}
    return Refusals(refused / seconds, each["inventory"], each["postgres"])


async def _ask_all(system: FleetSystem, product: str, seconds: float) -> int:
    settings = CallSettings(DiscoverySettings(f"unix:{DataLayout(system.data).registry}", instance="bench"))
    secret, numbers = (system.data / "secret").read_bytes(), count()
    async with open_calls(secret, (), settings, SystemClock()) as calls:
        stub = inventory_pb2_grpc.InventoryServiceStub(calls.of("order")("inventory"))
        until = time.monotonic() + seconds
        return sum(await asyncio.gather(*(_ask(stub, product, numbers, until) for _ in range(_AT_ONCE))))


async def _ask(stub: Any, product: str, numbers: "count[int]", until: float) -> int:
    refused = 0
    with acting_as("order"):
        while time.monotonic() < until:
            key = f"bench-{time.time_ns()}-{next(numbers)}"
            items = [inventory_pb2.StockItem(product_id=product, quantity=1)]
            expires = Timestamp(seconds=int(time.time()) + 3_600)
            request = inventory_pb2.ReserveRequest(key=key, order_id=key, items=items, expires_at=expires)
            try:
                await stub.Reserve(request, timeout=5)
            except CallFailed as failure:
                if failure.reason != "OUT_OF_STOCK":
                    raise
                refused += 1
            else:
                raise RuntimeError(f"{product} is not sold out")
    return refused
