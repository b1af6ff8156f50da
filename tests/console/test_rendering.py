"""How pages write times, amounts and long names."""

import pytest

from souk.console.rendering import amount, breakable, moment_of, offset
from souk.kernel.clock import MICROSECONDS as SECOND


@pytest.mark.parametrize(
    ("microseconds", "text"),
    [
        (0, "0 ms"),
        (1_250, "1.2 ms"),
        (120_000, "120 ms"),
        (16_721_400, "16.72 s"),
        (100 * SECOND, "100 s"),
        (3_723 * SECOND + 400_000, "1:02:03.4"),
        (26 * 3_600 * SECOND, "26:00:00.0"),
    ],
)
def test_times_since_a_beginning(microseconds: int, text: str) -> None:
    assert offset(microseconds) == text


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (12_000, "EUR", "120.00"),
        (123_456_789, "EUR", "1\u202f234\u202f567.89"),
        (-5, "EUR", "-0.05"),
        (1_234, "JPY", "1\u202f234"),
        (8_794, "all products", "8\u202f794"),
    ],
)
def test_money_is_counted_in_minor_units_and_shown_in_major_ones(value: int, unit: str, text: str) -> None:
    assert amount(value, unit) == text


def test_long_names_break_between_words_and_are_escaped() -> None:
    assert breakable("shop.a.v1.AService/Get") == "shop.<wbr>a.<wbr>v1.<wbr>AService/<wbr>Get"
    assert breakable("OUT_OF_STOCK") == "OUT_<wbr>OF_<wbr>STOCK"
    assert breakable("<b>") == "&lt;b&gt;"


def test_times_of_documents_are_written_like_all_others() -> None:
    assert moment_of("2026-11-30T13:25:27.840208Z") == "2026-11-30 13:25:27.840 UTC"
    assert moment_of("2026-11-30T13:25:44Z") == "2026-11-30 13:25:44.000 UTC"
