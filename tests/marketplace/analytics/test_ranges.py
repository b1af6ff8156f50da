"""Ranges of days that are refused, each naming the field."""

import pytest

from souk.kernel.errors import InvalidArgument
from tests.marketplace.analytics.conftest import Desk

WRONG = [
    ("", "2026-11-30", "from"),
    ("2026-11-01", "", "to"),
    ("2026-13-01", "2026-12-01", "from"),
    ("2026-02-30", "2026-03-01", "from"),
    ("2026-02-01", "2026-02-29", "to"),
    ("0000-01-01", "0001-01-01", "from"),
    ("2026-1-1", "2026-11-30", "from"),
    ("2026-11-01T00:00:00Z", "2026-11-30", "from"),
    ("20261101", "20261130", "from"),
    ("２０２６-11-01", "2026-11-30", "from"),
    ("2026-11-02", "2026-11-01", "to"),
    ("2025-11-01", "2026-11-02", "to"),
]


@pytest.mark.parametrize("url", [None])
@pytest.mark.parametrize(("first", "last", "field"), WRONG)
async def test_a_range_that_is_none(desk: Desk, first: str, last: str, field: str) -> None:
    for read in (desk.revenue, desk.products, desk.conversion):
        with pytest.raises(InvalidArgument) as refused:
            await read(first, last)
        assert refused.value.violations[0].field == field


@pytest.mark.parametrize("url", [None])
@pytest.mark.parametrize(("first", "last"), [("2026-11-29", "2026-11-29"), ("2024-01-01", "2024-12-31")])
async def test_the_shortest_and_the_longest(desk: Desk, first: str, last: str) -> None:
    for read in (desk.revenue, desk.products, desk.conversion):
        await read(first, last)


@pytest.mark.parametrize("url", [None])
async def test_other_bad_values(desk: Desk) -> None:
    for read, more, field in (
        (desk.revenue, {"currency": "euro"}, "currency"),
        (desk.products, {"currency": "XXX"}, "currency"),
        (desk.products, {"sort": "revenue"}, "sort"),
        (desk.products, {"page_size": 0}, "page_size"),
        (desk.products, {"page_size": 101}, "page_size"),
    ):
        with pytest.raises(InvalidArgument) as refused:
            await read(**more)
        assert refused.value.violations[0].field == field
