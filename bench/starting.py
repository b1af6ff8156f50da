"""Measures a start, from that of the process until `GET /readyz` answers 200, migrations and demo data included."""

import shutil
from pathlib import Path

from bench.figures import Figure, Section, below, median, progress
from bench.system import running


def measure(folder: Path, *, runs: int) -> Section:
    """Measures starts on a new data directory, and again on the same one."""
    data = folder / "starting"
    new: list[float] = []
    again: list[float] = []
    for number in range(runs):
        progress(f"start: run {number + 1} of {runs}")
        shutil.rmtree(data, ignore_errors=True)
        for times in (new, again):
            with running(data) as system:
                times.append(system.started_in)
    first = median(new)
    return Section(
        "start",
        [
            Figure("start to ready, new data", first, "s", **below(2, first, "2")),
            Figure("  the same data again", median(again), "s"),
        ],
        details={"new": new, "again": again},
    )
