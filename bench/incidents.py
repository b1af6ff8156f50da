"""Measures a fleet's catalogue reads, and its behaviour with a dead instance, an open breaker and a flash sale."""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import uvloop
from shop.product.v1 import product_pb2, product_pb2_grpc

from bench.buying import CLIENTS, buying, order_body
from bench.figures import Figure, Section, at_least, below, progress
from bench.fleet_limit import bare_hops
from bench.fleet_system import FleetSystem, running_fleet
from bench.load import Load, load
from bench.refusals import Refusals, refusals
from souk.kernel.clock import SystemClock
from souk.kernel.context import acting_as
from souk.rpc.call import Call, CallFailed, Invoke, Reply
from souk.runtime.calls.channels import open_calls
from souk.runtime.config.settings import CallSettings, DiscoverySettings
from souk.runtime.data.layout import DataLayout

LEAST_READS = 2_500
MOST_WHILE_OPEN = 10.0
FLASH = "P-164"
_WORDS = ("mug", "lamp", "shirt", "book")
_NO_REDIS = "redis://127.0.0.1:1"


def measure(folder: Path, *, seconds: float, buyers: int) -> Section:
    """Measures one fleet in all of this, and another without Redis in the sale."""
    section = Section("incidents")
    with running_fleet(folder / "incidents", "--scale", "product=2,inventory=2") as system:
        _catalogue(section, system, seconds)
        _dead(section, system, seconds)
        _open_breaker(section, system, seconds)
        gated = _sale(system, buyers, "with Redis before PostgreSQL")
        refused = refusals(system, FLASH, seconds / 2)
    with running_fleet(folder / "ungated", "--scale", "inventory=2", "--redis", _NO_REDIS) as system:
        bare = _sale(system, buyers, "PostgreSQL alone")
        refused_bare = refusals(system, FLASH, seconds / 2)
    section.add(
        Figure(
            f"flash sale: {buyers} buyers for {buyers // 10} pieces, gate", gated, "buyers/s", "no gate", gated / bare
        ),
        Figure("  without the gate", bare, "buyers/s"),
    )
    _compare(section, refused, refused_bare)
    return section


def _compare(section: Section, gate: Refusals, bare: Refusals) -> None:
    share = gate.per_second / bare.per_second
    section.add(
        Figure("sold out: refusals by two Inventories, gate", gate.per_second, "refusals/s", "no gate", share),
        Figure("  without the gate", bare.per_second, "refusals/s"),
        Figure("  CPU of Inventory, gate", gate.inventory, "us", "no gate", gate.inventory / bare.inventory),
        Figure("  CPU of PostgreSQL, gate", gate.postgres, "us", "no gate", gate.postgres / bare.postgres),
    )


def _catalogue(section: Section, system: FleetSystem, seconds: float) -> None:
    progress("incidents: catalogue reads")
    lists = ("/api/v1/products?pageSize=20", "/api/v1/products?pageSize=20&sort=-price")
    gets = tuple(f"/api/v1/products/P-{number}" for number in range(101, 161))
    searches = tuple(f"/api/v1/products:search?q={word}" for word in _WORDS)
    mixed = tuple(path for n, get in enumerate(gets) for path in (get, lists[n % 2], searches[n % len(searches)]))
    what = Load(system.port, "GET", "/", paths=mixed, clients=CLIENTS, seconds=seconds)
    load(replace(what, seconds=seconds / 2))
    before = system.usage()
    sent = load(what)
    used = {kind: system.usage()[kind] - before.get(kind, 0.0) for kind in ("gateway", "product", "postgres")}
    limit = bare_hops([(300, 4_000), (200, 2_000)], sent.answers)
    rate, share = sent.per_second, sent.per_second / limit
    verdict = at_least(LEAST_READS, rate, "2,500")
    section.add(
        Figure("catalogue reads through the fleet's gateway", rate, "reads/s", "both hops alone", share, **verdict),
        Figure("  99 of 100 answered within", sent.p99, "ms"),
        *(Figure(f"  CPU of {kind}", value * 1e6 / sent.answers, "us a read") for kind, value in used.items()),
        Figure("  limit: as many bare messages over both hops", limit, "reads/s"),
    )


@dataclass(slots=True)
class _Observed:
    """Every try with its time and its instance; the calls `made`, and those that failed after all tries."""

    tries: list[tuple[float, str]] = field(default_factory=list)
    failed: int = 0
    made: int = 0

    def layer(self, inner: Invoke) -> Invoke:
        """Wraps each try, once its instance is chosen, and notes it."""

        def invoke(call: Call) -> Awaitable[Reply]:
            self.tries.append((time.monotonic(), call.instance))
            return inner(call)

        return invoke


def _dead(section: Section, system: FleetSystem, seconds: float) -> None:
    progress("incidents: kill -9 of one of two")
    victim = system.instances("product")[-1]
    observed = _Observed()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        killed = runner.run(_call_and_kill(system, observed, victim["pid"], seconds))
    late = [when - killed for when, address in observed.tries if address == victim["address"] and when > killed]
    section.add(
        Figure("dead instance: from kill -9 until it is called no more", max(late, default=0.0) * 1000, "ms"),
        Figure("  tries that still went to it", len(late), f"of {observed.made:,} calls"),
        Figure("  calls that failed after all tries", observed.failed, "calls"),
    )


async def _call_and_kill(system: FleetSystem, observed: _Observed, pid: int, seconds: float) -> float:
    clock = SystemClock()
    settings = CallSettings(DiscoverySettings(f"unix:{DataLayout(system.data).registry}", instance="bench"))
    secret = (system.data / "secret").read_bytes()
    watched = open_calls(secret, (), settings, clock, each_try=(observed.layer,))
    async with watched as calls, asyncio.TaskGroup() as tasks:
        stub, until = product_pb2_grpc.ProductServiceStub(calls.of("order")("product")), time.monotonic() + seconds
        for _ in range(16):
            tasks.create_task(_ask(stub, observed, until))
        await asyncio.sleep(seconds / 3)
        os.kill(pid, signal.SIGKILL)
        return time.monotonic()


async def _ask(stub: Any, observed: _Observed, until: float) -> None:
    request = product_pb2.GetProductRequest(id="P-101")
    with acting_as("order"):
        while time.monotonic() < until:
            observed.made += 1
            try:
                await stub.GetProduct(request, timeout=5)
            except CallFailed:
                observed.failed += 1


def _open_breaker(section: Section, system: FleetSystem, seconds: float) -> None:
    progress("incidents: Payment's breaker is open")
    order = buying(system)
    load(order(seconds=seconds / 2))
    system.souk("breakers", "--force", "payment=open")
    # One client: this measures how long a response takes, not how many there can be.
    what = replace(order(seconds=seconds / 2), expect=503, clients=1, others=True)
    sent = load(what)
    system.souk("breakers", "--force", "payment=auto")
    section.add(
        Figure(
            "checkout while Payment's breaker is open: 99 of 100 within",
            sent.p99,
            "ms",
            **below(MOST_WHILE_OPEN, sent.p99, "10"),
        ),
        Figure("  half of them within", sent.p50, "ms"),
        Figure("  answers other than 503", sent.other, f"of {sent.answers}"),
    )


def _sale(system: FleetSystem, buyers: int, how: str) -> float:
    """Runs a sale with stock for one in ten buyers; returns how many buyers are answered per second."""
    progress(f"incidents: flash sale, {how}")
    admin = system.token("admin")
    standing = system.call("GET", f"/api/v1/stock/{FLASH}")["available"]
    change = {"delta": buyers // 5 - standing, "reason": "sale", "idempotencyKey": f"sale-{time.time_ns()}"}
    system.call("POST", f"/api/v1/stock/{FLASH}:adjust", change, admin)
    price = system.call("GET", f"/api/v1/products/{FLASH}")["price"]
    headers = {"authorization": f"Bearer {system.token()}"}
    what = Load(system.port, "POST", "/api/v1/orders", (order_body(FLASH, price),), headers, CLIENTS)
    sent = load(replace(what, requests=buyers, expect=201, others=True))
    if sent.answers - sent.other != buyers // 10:
        raise RuntimeError(f"{sent.answers - sent.other} were sold of {buyers // 10}")
    return sent.per_second
