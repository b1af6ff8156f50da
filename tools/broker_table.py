"""Writes the table of docs/brokers.md: which guarantee each broker was seen to give, from a run of the suite.

python tools/broker_table.py        runs the suite against each broker of this machine (minutes) and writes the table
python tools/broker_table.py SQS    runs it against these alone; the columns of the others stay as they are

A test that could not run here, because its engine is not installed, leaves its column as "not run".
"""

import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as Xml
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "brokers.md"
BEGIN, END = "<!-- from a run: begin -->\n", "<!-- from a run: end -->\n"
SUITES = ("souk/testing/brokers/suite.py", "souk/testing/brokers/faults_suite.py")
BROKERS = {
    "Redis Streams": ("tests/engines/test_redis_broker.py", "TestRedisStreams"),
    "Kafka": ("tests/engines/test_kafka_broker.py", "TestKafka"),
    "RabbitMQ": ("tests/engines/test_rabbitmq_broker.py", "TestRabbitMq"),
    "SQS": ("tests/engines/test_sqs_broker.py", "TestSqs"),
}
"""The adapters, each with its test file and the class in it that is the suite."""
PASSED, FAILED, NOT_RUN = "yes", "**no**", "not run"
_NOT_GIVEN = re.compile(r"not given: (.*)", re.DOTALL)


def tests_of_the_suite() -> list[str]:
    """Gives the names of the suite's tests, in the order in which they stand."""
    return [name for path in SUITES for name in re.findall(r"async def (test_\w+)", (ROOT / path).read_text())]


def outcome(case: Xml.Element) -> str:
    """Says what became of one test: yes, no, or why it is not given."""
    skipped = case.find("skipped")
    if skipped is not None:
        found = _NOT_GIVEN.search(skipped.get("message", ""))
        return f"no: {found[1].strip()}" if found else NOT_RUN
    return FAILED if case.find("failure") is not None or case.find("error") is not None else PASSED


def run(path: str, name: str) -> dict[str, str]:
    """Runs the suite of one broker, and gives the outcome of each test by its name."""
    if not (ROOT / path).exists():
        return {}
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-n0", "-m", "", f"{path}::{name}", f"--junitxml={report}"]
        subprocess.run(command, cwd=ROOT, check=False)
        cases = Xml.parse(report).getroot().iter("testcase")
        return {case.get("name", ""): outcome(case) for case in cases}


def lines(tests: Iterable[str], outcomes: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Gives the lines of the table: a row for each test, a column for each broker, and the reasons below it."""
    notes: dict[str, int] = {}
    rows = [f"| test | {' | '.join(outcomes)} |", f"|---|{'---|' * len(outcomes)}"]
    for test in tests:
        cells = []
        for found in outcomes.values():
            cell = found.get(test, NOT_RUN)
            if cell.startswith("no: "):
                cell = f"no [{notes.setdefault(cell.removeprefix('no: '), len(notes) + 1)}]"
            cells.append(cell)
        rows.append(f"| {test.removeprefix('test_').replace('_', ' ')} | {' | '.join(cells)} |")
    return [*rows, "", *(f"[{number}] {reason}" for reason, number in notes.items())]


def read(table: str) -> dict[str, dict[str, str]]:
    """Reads what `lines` wrote: the outcome of each test by its name, for each broker."""
    notes = {
        f"no [{number}]": f"no: {reason}" for number, reason in re.findall(r"^\[(\d+)\] (.*)$", table, re.MULTILINE)
    }
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line[:2] == "| "]
    brokers = cells[0][1:] if cells else []
    return {
        broker: {f"test_{row[0].replace(' ', '_')}": notes.get(row[column], row[column]) for row in cells[1:]}
        for column, broker in enumerate(brokers, start=1)
    }


def main(named: Sequence[str]) -> int:
    """Runs the suites of these brokers, or of all, and writes the table; returns 1 if a guarantee was not seen."""
    if unknown := set(named) - BROKERS.keys():
        sys.exit(f"there is no broker {', '.join(sorted(unknown))}; there are {', '.join(BROKERS)}")
    text = PAGE.read_text()
    before, after = text.partition(BEGIN)[0], text.partition(END)[2]
    known = read(text.partition(BEGIN)[2].partition(END)[0])
    outcomes = {
        broker: run(*where) if broker in named or not named else known.get(broker, {})
        for broker, where in BROKERS.items()
    }
    table = "\n".join(lines(tests_of_the_suite(), outcomes)).rstrip()
    PAGE.write_text(f"{before}{BEGIN}{table}\n{END}{after}")
    return int(any(FAILED in found.values() for found in outcomes.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
