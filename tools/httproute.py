"""Writes docs/httproute.md from a run of tests/gateway/httproute: `python tools/httproute.py`."""

import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.gateway.httproute.names import NAMES, NOT_HERE, PASSED_OTHERWISE  # noqa: E402

FOLDER, PAGE = ROOT / "tests" / "gateway" / "httproute", ROOT / "docs" / "httproute.md"
INTRODUCTION = """# HTTPRoute's conformance tests

The Kubernetes Gateway API has conformance tests for HTTPRoute. Those that concern a data plane are tests here, under
their names, in `tests/gateway/httproute`: the same rules and requests, through the gateway's HTTP server, to upstreams
on loopback. `python tools/httproute.py` wrote this page from a run.

"""


class Outcomes:
    """A plugin that keeps how each test ended; one with several cases has to pass with all of them."""

    def __init__(self) -> None:
        self.passed: dict[str, bool] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keeps a report of pytest."""
        name = report.nodeid.partition("::test_")[2].partition("[")[0]
        self.passed[name] = self.passed.get(name, True) and (report.passed or report.when != "call")


def page(passed: Mapping[str, bool]) -> str:
    """Makes the text of the page."""
    count = sum(passed.get(name, False) for name in NAMES)
    rows = [f"{count} of {len(NAMES)} pass.\n", "| test | |", "|---|---|"]
    for name in sorted(NAMES, key=str.lower):
        if name in passed:
            remark = PASSED_OTHERWISE.get(name)
            text = ("passed" if passed[name] else "**failed**") + (f"; {remark}" if remark else "")
        else:
            text = f"not here: {NOT_HERE[name]}"
        rows.append(f"| {name} | {text} |")
    return INTRODUCTION + "\n".join(rows) + "\n"


def main() -> int:
    """Runs the tests and writes the page."""
    outcomes = Outcomes()
    status = pytest.main(
        ["-q", "-p", "no:cacheprovider", str(FOLDER), "--deselect", "tests/gateway/httproute/test_names.py"],
        plugins=[outcomes],
    )
    PAGE.write_text(page(outcomes.passed))
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
