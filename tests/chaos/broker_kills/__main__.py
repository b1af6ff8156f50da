"""Buyers order from a fleet while its broker is killed and started again; all that follows must be there in the end.

    .venv/bin/python -m tests.chaos.broker_kills
    .venv/bin/python -m tests.chaos.broker_kills --broker bus --broker kafka --orders 2000 --kills 3 --json report.json

`bus` is the fleet's own, which the supervisor starts again; the others are real servers outside of the fleet. Mails go
to an SMTP server, which counts their Message-IDs. With each order a product of the catalogue changes, and OpenSearch
must have the change. Ends with 1 when anything is missing or an invariant is violated.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from tests.chaos.broker_kills.report import HEAD
from tests.chaos.broker_kills.run import strike
from tests.chaos.brokers import BROKERS

SHOWN = 20
"""Lines about what is wrong with one broker."""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.broker_kills", description=__doc__.splitlines()[0])
    names = f"one of {', '.join(BROKERS)} (default: all)"
    parser.add_argument("--broker", action="append", choices=BROKERS, help=names)
    parser.add_argument("--orders", type=int, default=2_000, help="orders for each broker (default 2000)")
    parser.add_argument("--kills", type=int, default=3, help="kills of each broker (default 3)")
    parser.add_argument("--json", type=Path, help="write the reports to this file, too")
    return parser.parse_args()


def main() -> int:
    """Runs the brokers one after the other, prints a table, and returns the exit status."""
    arguments, reports = _arguments(), []
    print(HEAD, flush=True)
    for name in arguments.broker or BROKERS:
        with tempfile.TemporaryDirectory(prefix="souk-kills-", ignore_cleanup_errors=True) as folder:
            reports.append(asyncio.run(strike(name, Path(folder), arguments.orders, arguments.kills)))
        print(reports[-1].line(), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(one) for one in reports], indent=1) + "\n")
    for report in reports:
        for line in report.wrong[:SHOWN]:
            print(f"{report.broker}: {line}")
    return 0 if all(report.is_well for report in reports) else 1


if __name__ == "__main__":
    sys.exit(main())
