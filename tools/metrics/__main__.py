"""Writes what the metrics of the code give: docs/metrics.md, and in deploy/observability the rules and alerts of
Prometheus and a dashboard for Grafana.

python tools/metrics [check]     check: fails when the files are not what this program gives

Every expression is checked against the metrics that there are (`catalogue.py`): one that asks for a metric or a label
that does not exist makes the program fail.
"""

import json
import sys
from pathlib import Path
from typing import Any

import yaml
from catalogue import catalogue
from dashboard import dashboard
from page import page
from promql import KnownMetrics, UnknownName
from rules import rules

ROOT = Path(__file__).resolve().parents[2]
_HEAD = "# `make metrics` writes this file, from tools/metrics/rules.py.\n"


def files() -> dict[str, str]:
    """Makes the text of each file. Raises UnknownName."""
    found = catalogue()
    made, board = rules(), dashboard(found)
    check(made, board)
    text = yaml.safe_dump(made, sort_keys=False, width=140, allow_unicode=True)
    return {
        "docs/metrics.md": page(found),
        "deploy/observability/rules.yml": _HEAD + text,
        "deploy/observability/dashboard.json": json.dumps(board, indent=1) + "\n",
    }


def check(made: dict[str, Any], board: dict[str, Any]) -> None:
    """Checks every expression of rules and panels. Raises UnknownName."""
    known = KnownMetrics(catalogue())
    every = [rule for group in made["groups"] for rule in group["rules"]]
    for rule in every:
        known.require(rule["expr"], recorded=rule.get("record", ""))
    for rule in every:
        known.require_text(rule["expr"], " ".join(rule.get("annotations", {}).values()))
    for panel in board["panels"]:
        for target in panel.get("targets", ()):
            known.require(target["expr"])
            known.require_text(target["expr"], target["legendFormat"].replace("{{", "{{ $labels."))


def main() -> int:
    """Writes or checks the files; returns the exit status."""
    try:
        found = files()
    except UnknownName as error:
        print(error, file=sys.stderr)
        return 1
    for name, text in found.items():
        if sys.argv[1:] != ["check"]:
            (ROOT / name).write_text(text, "utf-8")
        elif (ROOT / name).read_text("utf-8") != text:
            print(f"{name} is not what the code gives (run `make metrics`)", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
