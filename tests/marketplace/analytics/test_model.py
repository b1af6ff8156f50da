"""Any way in which a broker may deliver: the figures are those of a model that counts orders and knows no events.

Events come twice, out of order (also those of one order), late, and again after the consumer died with the event in
its hands: before, in the middle of, or after its transaction. Meanwhile the figures are built anew from the past, and
that dies, too.
"""

import asyncio
import contextlib
import tempfile
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from soukapi.v1.event_pb2 import Event

from marketplace.analytics.deps import Deps
from marketplace.analytics.use_cases.rebuild_figures import FiguresProjection
from souk.projections.rebuild import Rebuild
from tests.marketplace.analytics.conftest import KnownPast, Sold, at, best, by_currency, open_desk_in, outcomes
from tests.properties import examples

DAYS = [f"2026-11-{number:02}" for number in (9, 10, 11)]
TIMES = st.sampled_from([at(f"{day} {hour}") for day in DAYS for hour in ("00:00", "23:59")])
LINES = st.dictionaries(st.sampled_from(["P-1", "P-2"]), st.tuples(st.integers(1, 3), st.integers(0, 500)), min_size=1)
REASONS = st.sampled_from(["OUT_OF_STOCK", "PAYMENT_DECLINED"])


def day_of(time: int) -> str:
    return next(day for day in reversed(DAYS) if at(f"{day} 00:00") <= time)


@dataclass
class Life:
    """What is true of an order."""

    sold: Sold
    confirmed_at: int | None = None
    reason: str = ""
    is_cancelled: bool = False
    refunds: list[tuple[int, int]] = field(default_factory=list)


class Analytics(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.lives: list[Life] = []
        self.past = KnownPast()
        self.rebuilding: Any = None
        self.in_flight: list[Event] = []
        self.acknowledged: list[Event] = []
        self.start()

    def start(self) -> None:
        self.context = open_desk_in(Path(self.folder.name))
        self.desk = self.runner.run(self.context.__aenter__())

    def stop(self) -> None:
        if self.rebuilding is not None:
            self.runner.run(self.rebuilding.aclose())
            self.rebuilding = None
        self.runner.run(self.context.__aexit__(None, None, None))

    def publish(self, life: Life, event: Event) -> None:
        self.past.add(life.sold.id, event)
        self.in_flight.append(event)

    def teardown(self) -> None:
        try:
            self.deliver_all()
            self.figures_agree()
        finally:
            self.stop()
            self.runner.close()
            self.folder.cleanup()

    # what happens to orders

    @rule(placed=TIMES, time=TIMES, lines=LINES, currency=st.sampled_from(["EUR", "USD"]), reason=st.none() | REASONS)
    def order(self, placed, time, lines, currency, reason) -> None:
        sold = Sold(f"O-{len(self.lives)}", placed, tuple((name, *line) for name, line in lines.items()), currency)
        life = Life(sold, None if reason else time, reason or "")
        self.lives.append(life)
        self.publish(life, sold.rejected(reason, time) if reason else sold.confirmed(time))

    def sold(self) -> list[Life]:
        return [life for life in self.lives if life.confirmed_at is not None and not life.is_cancelled]

    @precondition(lambda self: self.sold())
    @rule(data=st.data(), time=TIMES, cancels=st.booleans())
    def refund(self, data, time, cancels) -> None:
        life = data.draw(st.sampled_from(self.sold()))
        rest = life.sold.total - life.sold.refunded
        amount = rest if cancels or not rest else data.draw(st.integers(1, rest))
        if amount:
            life.refunds.append((time, amount))
            self.publish(life, life.sold.refund(amount, time))
        if cancels:
            life.is_cancelled = True
            self.publish(life, life.sold.cancelled(time))

    # what happens to their events

    def take(self, data) -> Event:
        return self.in_flight.pop(data.draw(st.integers(0, len(self.in_flight) - 1)))

    @precondition(lambda self: self.in_flight)
    @rule(data=st.data())
    def deliver(self, data) -> None:
        event = self.take(data)
        self.runner.run(self.desk.handle(event))
        self.acknowledged.append(event)

    @precondition(lambda self: self.acknowledged)
    @rule(data=st.data())
    def deliver_again(self, data) -> None:
        self.runner.run(self.desk.handle(data.draw(st.sampled_from(self.acknowledged))))

    @precondition(lambda self: self.in_flight)
    @rule(data=st.data(), steps=st.integers(0, 12))
    def die_with_one_in_hand(self, data, steps) -> None:
        event = self.take(data)
        self.runner.run(self.cut(event, steps))
        self.in_flight.append(event)
        self.stop()
        self.start()

    async def cut(self, event: Event, steps: int) -> None:
        handling = asyncio.create_task(self.desk.handle(event))
        for _ in range(steps):
            await asyncio.sleep(0)
        handling.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await handling

    @rule()
    def deliver_all(self) -> None:
        for event in reversed(self.in_flight):
            self.runner.run(self.desk.handle(event))
        self.acknowledged += self.in_flight
        self.in_flight.clear()

    # what builds the figures anew

    @rule()
    def go_on_with_a_rebuild(self) -> None:
        if self.rebuilding is None:
            database = self.desk.host.database
            projection = FiguresProjection(Deps(database), self.past)
            self.rebuilding = Rebuild("figures", projection, database, rest=0.0).run()
        try:
            self.runner.run(anext(self.rebuilding))
        except StopAsyncIteration:
            self.rebuilding = None

    # what is true once nothing is in flight

    @invariant()
    def figures_agree(self) -> None:
        if self.in_flight:
            return
        days = DAYS[0], DAYS[-1]
        assert by_currency(self.runner.run(self.desk.revenue(*days))) == self.expected_revenue()
        products = self.runner.run(self.desk.products(*days))
        assert {
            one.currency: dict(units(best(one.products))) for one in products.currencies
        } == self.expected_products()
        conversion = self.runner.run(self.desk.conversion(*days))
        assert {one.date: outcomes(one.outcomes) for one in conversion.days} == self.expected_conversion()

    def expected_revenue(self) -> dict[str, Any]:
        found: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0, 0, 0, 0]))

        def add(currency: str, time: int, *numbers: int) -> None:
            for day in ("", day_of(time)):
                sums = found[currency][day]
                found[currency][day] = [have + more for have, more in zip(sums, numbers, strict=True)]

        for life in self.lives:
            if life.confirmed_at is not None:
                add(life.sold.currency, life.confirmed_at, 1, life.sold.total, 0, 0, life.sold.total)
            for time, amount in life.refunds:
                add(life.sold.currency, time, 0, 0, 1, amount, -amount)
        return {currency: {day: tuple(sums) for day, sums in days.items()} for currency, days in found.items()}

    def expected_products(self) -> dict[str, Any]:
        found: dict[str, dict[str, tuple[int, int]]] = defaultdict(dict)
        for life in self.lives:
            for name, quantity, price in life.sold.lines if life.confirmed_at is not None else ():
                pieces, revenue = found[life.sold.currency].get(name, (0, 0))
                found[life.sold.currency][name] = (pieces + quantity, revenue + quantity * price)
        return dict(found)

    def expected_conversion(self) -> dict[str, Any]:
        found: dict[str, tuple[int, Counter[str], int]] = {}
        for life in self.lives:
            day = day_of(life.sold.placed)
            confirmed, rejected, cancelled = found.get(day, (0, Counter(), 0))
            if life.reason:
                rejected[life.reason] += 1
            else:
                confirmed, cancelled = confirmed + 1, cancelled + life.is_cancelled
            found[day] = (confirmed, rejected, cancelled)
        return {day: (confirmed, dict(rejected), cancelled) for day, (confirmed, rejected, cancelled) in found.items()}


def units(products: list[tuple[str, int, int]]) -> list[tuple[str, tuple[int, int]]]:
    return [(name, (pieces, revenue)) for name, pieces, revenue in products]


@pytest.mark.hypothesis
def test_any_delivery_leads_to_the_same_figures() -> None:
    checks = [HealthCheck.too_slow]
    limits = settings(max_examples=examples(60), stateful_step_count=40, deadline=None, suppress_health_check=checks)
    run_state_machine_as_test(Analytics, settings=limits)
