"""Whole numbers in texts from outside."""

import pytest

from souk.kernel.whole_numbers import whole_number


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("7", 7), (b"0012", 12), ("99", 99), ("0" * 9_000 + "5", 5)])
def test_digits_are_a_number(text: str | bytes, number: int) -> None:
    assert whole_number(text, 99) == number


@pytest.mark.parametrize(
    "text", ["", "-1", "+1", " 1", "1_0", "1.0", "\N{ARABIC-INDIC DIGIT THREE}", b"\xb2", "100", "9" * 5_000]
)
def test_any_other_text_is_none(text: str | bytes) -> None:
    assert whole_number(text, 99) is None
