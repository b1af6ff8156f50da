"""Ports for processes whose ports others must know before they start."""

import subprocess
import sys

from souk.testing.free_ports import free_port

MANY = 250
_PROGRAM = f"from souk.testing.free_ports import free_port; print(*(free_port() for _ in range({MANY})))"


def test_nobody_else_gets_one_of_them() -> None:
    mine = {free_port() for _ in range(MANY)}
    others = subprocess.run((sys.executable, "-c", _PROGRAM), check=True, capture_output=True, text=True).stdout
    assert len(mine) > MANY / 2
    assert mine.isdisjoint(map(int, others.split()))
    assert max(mine) < 32_768
