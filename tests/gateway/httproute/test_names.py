"""Every conformance test is a test here, or there is a reason; and the page has each of them."""

import re
from pathlib import Path

from tests.gateway.httproute.names import NAMES, NOT_HERE, PASSED_OTHERWISE

HERE = Path(__file__).parent
PAGE = HERE.parents[2] / "docs" / "httproute.md"


def test_every_name_is_a_test_or_has_a_reason() -> None:
    source = "".join(path.read_text() for path in HERE.glob("test_*.py"))
    tests = set(re.findall(r"def test_(HTTPRoute\w+)", source))
    assert tests | NOT_HERE.keys() == set(NAMES)
    assert tests & NOT_HERE.keys() == set()
    assert PASSED_OTHERWISE.keys() <= tests


def test_the_page_has_each_with_its_outcome() -> None:
    rows = dict(re.findall(r"^\| (HTTPRoute\w+) \| (.*) \|$", PAGE.read_text(), re.MULTILINE))
    assert rows.keys() == set(NAMES)
    for name, text in rows.items():
        expected = f"not here: {NOT_HERE[name]}" if name in NOT_HERE else "passed"
        assert text == expected + (f"; {PASSED_OTHERWISE[name]}" if name in PASSED_OTHERWISE else "")
