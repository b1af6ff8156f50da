"""A short run of `make chaos`: every kind of fault once, on a seed that is fixed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chaos.faults import FAULTS

MINUTES, LIMIT = "1.4", 600.0


@pytest.mark.full
def test_whatever_happens_everything_adds_up(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    command = (sys.executable, "-m", "tests.chaos", "--minutes", MINUTES, "--seed", "7", "--json", str(report))
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=LIMIT)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr[-20_000:]
    found = json.loads(report.read_text())
    happened = {fault["fault"] for fault in found["faults"] if not fault["failed"]}
    assert len(happened | set(found["left_out"])) >= len(FAULTS) / 2
    assert found["operations"] > 100
