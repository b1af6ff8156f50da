"""Several runs as one table of Markdown, for docs/reliability.md.

.venv/bin/python -m tests.chaos.summary reports/*.json
"""

import json
import sys
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import Any


def summary(reports: list[dict[str, Any]]) -> list[str]:
    """Gives the lines of the table: one for each run, then one for each fault."""
    return [*_runs(reports), "", *_faults(reports)]


def _runs(reports: list[dict[str, Any]]) -> list[str]:
    lines = [
        "| seed | seconds | faults | operations | orders answered at the first try | reads answered | violations |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in sorted(reports, key=lambda report: report["seed"]):
        shares = one["availability"]
        lines.append(
            f"| {one['seed']} | {one['seconds']:g} | {len(one['faults'])} | {one['operations']} "
            f"| {shares['orders']:.1%} | {shares['reads']:.1%} | {len(one['violations'])} |"
        )
    return lines


def _faults(reports: list[dict[str, Any]]) -> list[str]:
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for fault in (fault for one in reports for fault in one["faults"] if not fault["failed"]):
        found[fault["fault"]].append(fault)
    lines = [
        "| fault | times | lasted (median, most) | no order confirmed for (median, most) | no read for (most) |",
        "|---|---|---|---|---|",
    ]
    for name, faults in sorted(found.items()):
        lasted, orders = [one["lasted"] for one in faults], [one["orders_gap"] for one in faults]
        lines.append(
            f"| {name} | {len(faults)} | {median(lasted):.1f} s, {max(lasted):.1f} s "
            f"| {median(orders):.1f} s, {max(orders):.1f} s | {max(one['reads_gap'] for one in faults):.1f} s |"
        )
    return lines


if __name__ == "__main__":
    print("\n".join(summary([json.loads(Path(name).read_text()) for name in sys.argv[1:]])))
