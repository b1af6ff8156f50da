"""The log of a process, kept in a file besides what its terminal shows."""

import io
import json
from pathlib import Path

from souk.kernel.clock import SystemClock
from souk.telemetry import logs
from souk.telemetry.kept_log import kept_log
from souk.telemetry.redaction import STRUCK_OUT
from souk.telemetry.turning_file import LogLimits


def test_what_a_terminal_shows_in_colours_is_kept_as_json(written: io.StringIO, tmp_path: Path) -> None:
    logs.configure(logs.LogSettings(terminal=True), written)
    path = tmp_path / "shop.log"
    with kept_log(path, LogLimits(), SystemClock()):
        logs.logger("order").warning("refused", order="ORD-1", password="hunter2")
    logs.logger("order").warning("afterwards")
    assert "\x1b[" in written.getvalue()
    assert path.stat().st_mode & 0o777 == 0o600
    (line,) = path.read_text().splitlines()
    record = json.loads(line)
    assert (record["event"], record["order"], record["password"]) == ("refused", "ORD-1", STRUCK_OUT)
    assert record["timestamp"].startswith("20")
    assert record["timestamp"].endswith("Z")


def test_the_file_is_rotated_and_a_disk_that_fails_stops_nobody(written: io.StringIO, tmp_path: Path) -> None:
    path = tmp_path / "shop.log"
    with kept_log(path, LogLimits(megabytes=1, kept=1), SystemClock()):
        for _ in range(120):
            logs.logger("order").info("x" * 10_000)
    assert path.with_name("shop.log.1").exists()
    with kept_log(tmp_path / "missing" / "shop.log", LogLimits(), SystemClock()):
        logs.logger("order").info("goes on")
    assert "goes on" in written.getvalue()
