"""The table of brokers says what a run of the suite saw."""

import importlib.util
import xml.etree.ElementTree as Xml
from pathlib import Path

import pytest

# The tools are no package.
_SPEC = importlib.util.spec_from_file_location("broker_table", Path(__file__).parents[2] / "tools" / "broker_table.py")
assert _SPEC is not None
assert _SPEC.loader is not None
table = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(table)


@pytest.mark.parametrize(
    ("inside", "says"),
    [
        ("", "yes"),
        ("<failure/>", "**no**"),
        ("<error/>", "**no**"),
        ('<skipped message="not given: a queue keeps nothing for groups to come"/>', "no: a queue keeps nothing"),
        ('<skipped message="Kafka is not installed"/>', "not run"),
    ],
)
def test_what_became_of_a_test_is_read_from_the_report(inside: str, says: str) -> None:
    case = Xml.fromstring(f'<testcase name="test_topic">{inside}</testcase>')
    assert table.outcome(case).startswith(says)


def test_a_reason_is_told_once_below_the_table() -> None:
    outcomes = {"A": {"test_topic": "yes", "test_x": "no: because"}, "B": {"test_x": "no: because"}}
    assert table.lines(["test_topic", "test_x"], outcomes) == [
        "| test | A | B |",
        "|---|---|---|",
        "| topic | yes | not run |",
        "| x | no [1] | no [1] |",
        "",
        "[1] because",
    ]


def test_what_was_written_is_read_again() -> None:
    outcomes = {"A": {"test_topic": "yes", "test_x": "no: because"}, "B": {"test_topic": "**no**", "test_x": "not run"}}
    assert table.read("\n".join(table.lines(["test_topic", "test_x"], outcomes))) == outcomes
    assert table.read("") == {}


def test_the_page_has_a_row_for_each_test_and_no_guarantee_that_failed() -> None:
    page = table.PAGE.read_text().partition(table.BEGIN)[2].partition(table.END)[0]
    rows = [line.split("|")[1].strip() for line in page.splitlines() if line.startswith("| ")][1:]
    assert rows == [name.removeprefix("test_").replace("_", " ") for name in table.tests_of_the_suite()]
    assert table.FAILED not in page
