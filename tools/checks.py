"""Runs the stages of `make test`, `make test-engines` and `make test-full`, each with a line for its time.

python tools/checks.py test        formats, lint, types, imports, contracts, tests
python tools/checks.py engines     the tests that need real engines, which tools/engines.py brings
python tools/checks.py full        the tests that take long
"""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
PYTEST = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-ra")
# Tests of one group (`xdist_group`) run in one process and share what is slow to start, such as a whole system.
SPREAD = ("--dist", "loadgroup", "-n")
# Most tests wait: for processes that start, and for times that pass. So there are more workers than cores.
WORKERS = "5"
FEWER = "3"  # some of whose tests load both cores by the fleets that they start
FEWEST = "2"  # whose engines take much memory
NOTHING_COLLECTED = 5
# Tests start hundreds of processes of `souk`, and each would compile all modules if the first did not write them.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}

Stage = tuple[str, tuple[str, ...]]

STATIC: tuple[Stage, ...] = (
    ("format", (str(BIN / "ruff"), "format", "--check", ".")),
    ("lint", (str(BIN / "ruff"), "check", ".")),
    ("types", (str(BIN / "mypy"),)),
    ("imports", (str(BIN / "lint-imports"),)),
    ("contracts", (sys.executable, "tools/contracts.py", "check")),
)
"""Stages that change nothing, and so run concurrently."""
TEST: tuple[Stage, ...] = (("tests", (*PYTEST, *SPREAD, WORKERS, "-m", "not full and not engines")),)
ENGINES: tuple[Stage, ...] = (("engine tests", (*PYTEST, *SPREAD, FEWEST, "-m", "engines", "tests/engines")),)
FULL: tuple[Stage, ...] = (
    (
        "properties",
        (*PYTEST, *SPREAD, FEWER, "-m", "hypothesis and not full and not engines", "--hypothesis-profile", "thorough"),
    ),
    ("full tests", (*PYTEST, *SPREAD, FEWER, "-m", "full")),
)


def _stage(name: str, command: tuple[str, ...]) -> int:
    """Runs a stage, and returns its exit status; prints its output when it fails."""
    began = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, check=False, text=True, capture_output=True)
    took = time.monotonic() - began
    if done.returncode:
        print(done.stdout, done.stderr, sep="", end="")
    print(f"{'ok    ' if done.returncode == 0 else 'FAILED'} {name} ({took:.1f} s)", flush=True)
    return done.returncode


def _tests(name: str, command: tuple[str, ...]) -> int:
    """Runs pytest, and returns its exit status; its own summary is printed last and tells the time."""
    print(f"       {name}", flush=True)
    return subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, check=False).returncode


def main() -> int:
    """Runs every stage, and returns the exit status of the first that failed."""
    static: tuple[Stage, ...] = ()
    match sys.argv[1:]:
        case ["test"]:
            static, stages = STATIC, TEST
        case ["engines"]:
            stages = ENGINES
        case ["full"]:
            stages = FULL
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    with ThreadPoolExecutor() as threads:
        statuses = list(threads.map(lambda stage: _stage(*stage), static))
    for name, command in stages:
        status = _tests(name, command)
        statuses.append(0 if stages is FULL and status == NOTHING_COLLECTED else status)
    return next((status for status in statuses if status), 0)


if __name__ == "__main__":
    sys.exit(main())
