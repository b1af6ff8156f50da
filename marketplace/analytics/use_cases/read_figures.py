"""Reading revenue, top products and conversion: what is read is one moment, and it is said up to which."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from marketplace.analytics.deps import Deps
from marketplace.analytics.domain.facts import Measure
from marketplace.analytics.domain.reports import Counted, Days, Ranking, SoldProduct
from souk.sdk import Transaction

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class GetRevenue:
    """Read the sales and refunds of a range of days, of one currency or of all."""

    days: Days
    currency: str | None


@dataclass(frozen=True, slots=True)
class GetTopProducts:
    """Read the first `limit` products of each currency, or of one."""

    days: Days
    currency: str | None
    ranking: Ranking
    limit: int


@dataclass(frozen=True, slots=True)
class GetConversion:
    """Read how the orders ended that were placed in a range of days."""

    days: Days


@dataclass(frozen=True, slots=True)
class Reading(Generic[T]):
    """What was read, and when the newest event in it happened, in microseconds since 1970; None when there is none."""

    as_of: int | None
    found: Sequence[T]


async def get_revenue(deps: Deps, query: GetRevenue) -> Reading[Counted]:
    """Returns the figures of sales and refunds, the oldest day first."""
    measures = (Measure.SALES, Measure.REFUNDS)
    return await _read(deps, lambda tx: deps.figures.by_day(tx, measures, query.days, query.currency))


async def get_top_products(deps: Deps, query: GetTopProducts) -> Reading[SoldProduct]:
    """Returns the products of each currency, the best first."""
    return await _read(
        deps, lambda tx: deps.figures.top_products(tx, query.days, query.currency, query.ranking, query.limit)
    )


async def get_conversion(deps: Deps, query: GetConversion) -> Reading[Counted]:
    """Returns the figures of confirmed, rejected and cancelled orders by the day on which they were placed."""
    measures = (Measure.CONFIRMED, Measure.REJECTED, Measure.CANCELLED)
    return await _read(deps, lambda tx: deps.figures.by_day(tx, measures, query.days))


async def _read(deps: Deps, find: Callable[[Transaction], Awaitable[Sequence[T]]]) -> Reading[T]:
    async def work(tx: Transaction) -> Reading[T]:
        return Reading(await deps.figures.newest(tx), await find(tx))

    return await deps.database.read(work, long=True)
