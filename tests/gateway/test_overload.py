"""Load shedding: the adaptive limit with made-up samples, and the gate's order of priorities."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from shop.order.v1 import order_pb2

from souk.descriptors.contract import Priority, contract_of
from souk.gateway.http.problem import Problem
from souk.gateway.overload.concurrency import LEAST, TARGET, AdaptiveLimit
from souk.gateway.overload.gate import OverloadGate
from souk.gateway.overload.lag import EVERY, watch_lag
from souk.kernel.clock import SystemClock
from tests.properties import examples

LATE, IN_TIME = 2 * TARGET, TARGET / 2


def test_a_late_loop_lowers_the_limit_at_once_to_below_what_runs() -> None:
    limit = AdaptiveLimit(1_000)
    limit.sample(LATE, running=200)
    assert limit.value == 180


def test_it_comes_back_step_by_step_while_it_is_in_use() -> None:
    limit = AdaptiveLimit(1_000)
    for _ in range(50):
        limit.sample(LATE, running=40)
    assert limit.value == LEAST
    found = []
    for _ in range(3):
        limit.sample(IN_TIME, running=limit.value)
        found.append(limit.value)
    assert found == [LEAST + 4, LEAST + 8, LEAST + 12]


def test_a_burst_that_is_over_is_forgotten() -> None:
    limit = AdaptiveLimit(100)
    limit.sample(LATE, running=30)
    for _ in range(100):
        limit.sample(IN_TIME, running=0)
    assert limit.value == 100


@given(
    most=st.integers(1, 2_000),
    samples=st.lists(st.tuples(st.floats(0, 10), st.integers(0, 5_000)), max_size=200),
)
@settings(max_examples=examples(200))
def test_it_stays_between_its_bounds(most: int, samples: list[tuple[float, int]]) -> None:
    limit = AdaptiveLimit(most)
    for lag, running in samples:
        limit.sample(lag, running)
        assert min(LEAST, most) <= limit.value <= most


def _let_in(gate: OverloadGate, priority: Priority, times: int) -> int:
    """Gives how many of so many requests that do not end the gate lets in."""
    count = 0
    for _ in range(times):
        with suppress(Problem):
            gate.enter(priority).__enter__()
            count += 1
    return count


def test_browsing_that_is_let_in_already_keeps_no_checkout_out() -> None:
    gate = OverloadGate(1_000, enforce=True)
    assert _let_in(gate, Priority.LOW, 100) == 100
    for _ in range(100):
        gate.sample(LATE)
    assert gate.limit.value < 100
    assert _let_in(gate, Priority.LOW, 1) == 0
    assert _let_in(gate, Priority.HIGH, LEAST) == LEAST


def test_a_refusal_says_when_to_come_back() -> None:
    gate = OverloadGate(1, enforce=True)
    gate.running[Priority.HIGH] = 1
    with pytest.raises(Problem) as raised:
        gate.enter(Priority.HIGH)
    assert (raised.value.status, raised.value.code) == (503, "OVERLOADED")
    assert (b"retry-after", b"1") in raised.value.all_headers()


def test_what_is_less_important_leaves_room_for_the_rest() -> None:
    gate = OverloadGate(10, enforce=True)
    assert _let_in(gate, Priority.LOW, 20) == 6
    assert _let_in(gate, Priority.NORMAL, 20) == 2
    assert _let_in(gate, Priority.LOW, 5) == 0
    assert _let_in(gate, Priority.HIGH, 20) == 2


@pytest.mark.parametrize("error", [ValueError, asyncio.CancelledError])
def test_a_request_that_ends_in_any_way_makes_room(error: type[BaseException]) -> None:
    gate = OverloadGate(1, enforce=True)
    with pytest.raises(error), gate.enter(Priority.HIGH):
        raise error
    assert gate.total == 0


def test_to_report_refuses_nobody() -> None:
    gate, registry = OverloadGate(10, enforce=False), CollectorRegistry()
    registry.register(gate)
    assert _let_in(gate, Priority.LOW, 20) == 20
    shown = generate_latest(registry).decode()
    assert 'souk_gateway_overloaded_total{outcome="reported",priority="low"} 14.0' in shown
    assert "souk_gateway_running 20.0" in shown


async def test_a_loop_that_is_held_up_lowers_the_limit() -> None:
    gate = OverloadGate(1_000, enforce=True)
    watching = asyncio.create_task(watch_lag(gate, SystemClock()))
    gate.running[Priority.LOW] = 100
    loop = asyncio.get_running_loop()
    end = loop.time() + 60
    while gate.limit.value > 90 and loop.time() < end:
        await asyncio.sleep(0)
        held = loop.time() + EVERY + 2 * TARGET
        while loop.time() < held:
            pass
    watching.cancel()
    assert gate.limit.value <= 90


async def test_the_gateway_sheds_browsing_before_checkout_and_never_health(world: Any) -> None:
    gate = OverloadGate(10, enforce=True)
    world.remake(None, gate)
    gate.running[Priority.LOW] = 9
    assert (await world.send("GET", "/api/v1/products")).status == 503
    refused = await world.send("POST", "/api/v1/auth/token", {"refreshToken": "x"})
    assert (refused.status, refused.json["code"], refused.headers["retry-after"]) == (503, "OVERLOADED", "1")
    ordered = await world.send("POST", "/api/v1/orders", {}, token=world.token())
    assert ordered.status == 400  # the order itself is not valid: it came through
    assert (await world.send("GET", "/healthz")).status == 200
    gate.running[Priority.LOW] = 0
    assert (await world.send("GET", "/api/v1/products")).status == 200
    assert gate.total == 0


@pytest.mark.parametrize(
    ("service", "method", "priority"),
    [
        ("order", "PlaceOrder", Priority.HIGH),
        ("order", "CancelOrder", Priority.NORMAL),
        ("order", "GetOrder", Priority.LOW),
    ],
)
def test_contracts_name_priorities(service: str, method: str, priority: Priority) -> None:
    contract = contract_of(order_pb2.DESCRIPTOR.services_by_name["OrderService"])
    assert contract.methods[f"/shop.{service}.v1.OrderService/{method}"].policy.priority is priority
