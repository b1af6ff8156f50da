"""The figures are built anew from the past while events come in, on both databases; killed anywhere, it goes on."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest

from marketplace.analytics.deps import Deps
from marketplace.analytics.use_cases.rebuild_figures import FiguresProjection
from souk.faults import Faults
from souk.projections.rebuild import FAULT_POINTS, Rebuild, RebuildStep
from souk.projections.records import RebuildPhase
from tests.marketplace.analytics.conftest import Desk, KnownPast, Sold, at, best, by_currency

NOON = at("2026-11-10 12:00")


class Died(BaseException):
    """What stands for the end of the process."""


def die() -> None:
    raise Died


def rebuild_of(desk: Desk, past: KnownPast, faults: Faults | None = None) -> Rebuild:
    database = desk.host.database
    return Rebuild("figures", FiguresProjection(Deps(database), past), database, faults or Faults(), rest=0.0)


async def steps(rebuild: Rebuild) -> AsyncIterator[RebuildStep]:
    async with aclosing(rebuild.run()) as found:
        async for step in found:
            yield step


async def whole(rebuild: Rebuild) -> None:
    async for step in steps(rebuild):
        last = step
    assert last.record.phase is RebuildPhase.DONE


async def differences(desk: Desk, past: KnownPast) -> list[str]:
    async with aclosing(rebuild_of(desk, past).check()) as found:
        return [line async for _, _, lines in found for line in lines]


async def execute(desk: Desk, sql: str) -> None:
    await desk.host.database.run(lambda tx: tx.execute(sql))


async def figures(desk: Desk) -> Any:
    products = {one.currency: best(one.products) for one in (await desk.products()).currencies}
    return by_currency(await desk.revenue()), products, (await desk.conversion()).total


@pytest.fixture
def past() -> KnownPast:
    """Seven orders, each with a refund."""
    past = KnownPast()
    for number in range(7):
        order = Sold(f"O-{number}", NOON, ((f"P-{number % 2}", 1 + number, 100),))
        past.add(order.id, order.confirmed(), order.refund(50, NOON))
    return past


async def heard(desk: Desk, past: KnownPast) -> None:
    for events in past.lives.values():
        await desk.handle(*events)


async def test_figures_that_were_lost_come_back(desk: Desk, past: KnownPast) -> None:
    await heard(desk, past)
    right = await figures(desk)
    for table in ("facts", "figures"):
        await execute(desk, f"DELETE FROM {table} WHERE {'order_id' if table == 'facts' else 'subject'} >= 'O-3'")
    assert await figures(desk) != right
    await whole(rebuild_of(desk, past))
    assert await figures(desk) == right
    assert await differences(desk, past) == []


async def test_a_service_that_begins_late_gets_all_of_the_past(desk: Desk, past: KnownPast) -> None:
    await whole(rebuild_of(desk, past))
    assert by_currency(await desk.revenue())["EUR"][""] == (7, 2_800, 7, 350, 2_450)
    await heard(desk, past)  # what was still under way
    assert by_currency(await desk.revenue())["EUR"][""] == (7, 2_800, 7, 350, 2_450)


async def test_events_that_come_meanwhile_are_read_at_once_and_counted_once(desk: Desk, past: KnownPast) -> None:
    await heard(desk, past)
    number = 0
    async for _ in steps(rebuild_of(desk, past)):
        order = Sold(f"O-{number}-late", NOON)  # before or behind what was read
        past.add(order.id, order.confirmed())
        await desk.handle(order.confirmed())
        number += 1
        assert by_currency(await desk.revenue())["EUR"][""][0] == 7 + number
    assert number > 5
    assert by_currency(await desk.revenue())["EUR"][""][0] == 7 + number
    assert await differences(desk, past) == []


@pytest.mark.parametrize("point", FAULT_POINTS)
async def test_a_rebuild_that_was_killed_goes_on(desk: Desk, past: KnownPast, point: str) -> None:
    await heard(desk, past)
    right = await figures(desk)
    with pytest.raises(Died):
        await whole(rebuild_of(desk, past, Faults({point: 0}, strike=die)))
    assert await figures(desk) == right
    await whole(rebuild_of(desk, past))
    assert await figures(desk) == right
    assert await differences(desk, past) == []
    kept = "SELECT COUNT(DISTINCT generation) AS n FROM facts"
    row = await desk.host.database.read(lambda tx: tx.fetch_one(kept), single=True)
    assert row is not None
    assert row["n"] == 1


@pytest.mark.parametrize(
    ("harm", "line"),
    [
        ("DELETE FROM facts WHERE order_id = 'O-3' AND kind = 'confirmed'", "O-3: confirmed is not counted"),
        ("UPDATE facts SET order_id = 'O-3x' WHERE order_id = 'O-3'", "O-3x: confirmed is counted, and did not"),
        ("UPDATE facts SET amount = 1 WHERE kind = 'refunded'", "O-0: refunded 50 is counted as 1, and was 50"),
        ("UPDATE figures SET amount = amount + 1 WHERE measure = 'sales'", "the sales are "),
        ("UPDATE figures SET count = count + 1 WHERE measure = 'refunds'", "the refunds are "),
        ("UPDATE figures SET amount = 0 WHERE measure = 'products'", "the products are "),
        ("DELETE FROM figures WHERE measure = 'confirmed'", "the confirmed are "),
    ],
)
async def test_a_comparison_names_what_is_wrong(desk: Desk, past: KnownPast, harm: str, line: str) -> None:
    await heard(desk, past)
    assert await differences(desk, past) == []
    await execute(desk, harm)
    assert any(found.startswith(line) for found in await differences(desk, past))
