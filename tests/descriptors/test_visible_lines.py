"""What people enter as a line can be seen, in every contract alike."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from soukapi.v1 import policy_pb2
from soukapi.v1.policy_pb2 import FieldPolicy

from souk.descriptors import limits
from souk.descriptors.contract import contract_of
from souk.runtime.config import entry_points

LINES = policy_pb2.FORMAT_LINE
LINE: Any = limits.test_of(FieldPolicy(min_length=1, max_length=100, format=LINES))
INVISIBLE = [
    "\u200b", "\u3164", "\u2800", "\u00ad", "\u034f", "\u061c",
    "\u115f", "\u1160", "\u17b4", "\u180e", "\u200c", "\u200d",
    "\u200e", "\u200f", "\u202a", "\u202e", "\u2060", "\u2064", "\u2066", "\u2069", "\u206f", "\ufe0f", "\ufeff",
    "\uffa0", "\ufff9", "\U000e0001", "\U000e0041", "\U000e0100", "\U000e01ef",
]  # fmt: skip
SPOOFING = [
    "\u202a",
    "\u202b",
    "\u202d",
    "\u202e",
    "\u2066",
    "\u2067",
    "\u2068",
    "\u2069",
    "\u206a",
    "\ufff9",
    "\U000e0041",
]
GOOD = [
    "Mina",
    "Jürgen Groß-Müller",
    "می\u200cخواهم",  # Persian, with a non-joiner
    "ന്\u200d",  # Malayalam, with a joiner at the end of the word
    "क्\u200dष",
    "👩\u200d👩\u200d👧",
    "👁\ufe0f\u200d🗨\ufe0f",
    "葛\U000e0100城市",  # a variant of an ideograph
    "שלום\u200f 12",
    "Donau\u00addampf",
    "⠍⠊⠝⠁\u2800⠍",  # Braille, with its space
    "김\u3164",
    "O\u2019Hara",
    "1",
    " a ",
]


@pytest.mark.parametrize("character", INVISIBLE, ids=ascii)
def test_a_line_of_nothing_that_can_be_seen_is_none(character: str) -> None:
    assert not LINE(character)
    assert not LINE(character * 5)
    assert not LINE(f" {character}\u3000{character} ")
    for other in INVISIBLE:
        assert not LINE(character + other)


@pytest.mark.parametrize("character", SPOOFING, ids=ascii)
def test_what_turns_text_round_is_in_no_line(character: str) -> None:
    assert not LINE(f"Mina {character} Demo")


@pytest.mark.parametrize("text", GOOD, ids=ascii)
def test_names_of_the_world_are_lines(text: str) -> None:
    assert LINE(text)


@pytest.mark.parametrize("joiner", ["\u200c", "\u200d", "\ufe0f"], ids=ascii)
def test_joiners_stand_behind_what_they_join(joiner: str) -> None:
    assert LINE(f"a{joiner}b")
    assert not LINE(f"{joiner}ab")
    assert not LINE(f"a {joiner}b")


def test_joiners_do_not_pile_up() -> None:
    assert not LINE("a\u200d\u200db")


@given(
    st.text(
        st.characters(categories=["L", "N", "P", "S"], exclude_characters="\u115f\u1160\u2800\u3164\uffa0"),
        min_size=1,
        max_size=20,
    )
)
def test_letters_digits_and_signs_are_always_a_line(text: str) -> None:
    assert LINE(text)


@given(st.text(st.sampled_from([*INVISIBLE, " ", "\u2003", "\n", "\0"]), max_size=20))
def test_however_they_are_put_together_what_nobody_sees_is_no_line(text: str) -> None:
    assert not LINE(text)


def test_every_name_and_line_of_a_contract_is_held_to_it() -> None:
    """Who adds a field that people fill in says that it is a line, or adds it here."""
    names = {"name", "line1", "line2", "city", "region", "postal_code", "category"}
    fields = [
        field
        for service in entry_points.app(None).services
        for method in contract_of(service.contract).methods.values()
        if method.http
        for field in method.input.DESCRIPTOR.fields
    ]
    assert [one.full_name for one in fields if one.name in names and limits.policy_of(one).format != LINES] == []


@given(st.text(st.characters(max_codepoint=0x7F)))
def test_what_is_taken_for_a_line_without_the_pattern_is_one_by_the_pattern(text: str) -> None:
    assert limits._is_plain(text) == bool(re.fullmatch(limits._PATTERNS[LINES], text))
