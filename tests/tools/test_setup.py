"""Setting up: what Ctrl-C leaves."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from souk.testing.system import until

TOOLS = Path(__file__).parents[2] / "tools"
RUNS = "setup._run(sys.executable, '-c', 'import os, time; print(os.getpid(), flush=True); time.sleep(60)')"


def test_ctrl_c_ends_what_runs_and_shows_no_traceback() -> None:
    program = f"import sys; sys.path.insert(0, {str(TOOLS)!r}); import setup; setup.main = lambda: {RUNS}; setup.run()"
    with subprocess.Popen((sys.executable, "-c", program), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        _, said = process.communicate()
    assert said.decode().strip() == "set-up was stopped; the next `make setup` begins anew"
    until(lambda: not os.path.exists(f"/proc/{pid}"), 10, "what it started has ended")
