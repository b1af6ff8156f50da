"""Runs the stages of `make test`, `test-engines`, `test-full` and `test-kubernetes`, each with a line for its time.

python tools/checks.py test        formats, lint, types, imports, contracts, tests
python tools/checks.py engines     the tests that need real engines, which tools/engines.py brings
python tools/checks.py full        the tests that take long
python tools/checks.py kubernetes  the tests of deploy/kubernetes on Kubernetes, which tools/engines.py brings

With --again behind it, as CI has it, a few tests that failed run once more, one at a time: the stage fails if one of
them fails again. All are named either way (docs/decisions/0203-ci-asks-a-failed-test-twice.md).
"""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
PYTEST = (sys.executable, "-m", "pytest", "-ra")
FORGETTING = ("-p", "no:cacheprovider")
# Tests of one group (`xdist_group`) run in one process and share what is slow to start, such as a whole system.
SPREAD = ("--dist", "loadgroup", "-n")
# Most tests wait: for processes that start, and for times that pass. So there are more workers than cores. Each one
# more collects all tests once more, which takes 12 s of CPU.
WORKERS = "4"
FEWER = "3"  # some of whose tests load both cores by the fleets that they start
FEWEST = "2"  # whose engines take much memory
NO_ENGINES = ("--ignore", "tests/engines", "--ignore", "tests/kubernetes")
QUICK = ("-m", "not full and not engines and not kubernetes", *NO_ENGINES)
THOROUGH = (
    *("-m", "(full or hypothesis) and not engines and not kubernetes", *NO_ENGINES),
    *("--hypothesis-profile", "thorough"),
)
FAILED, NOTHING_COLLECTED = 1, 5
"""Statuses with which pytest ends."""
MOST_AGAIN = 5
"""Tests of a stage that may run once more: if more have failed, it is no accident."""
# Tests start hundreds of processes of `souk`, and each would compile all modules if the first did not write them.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
MEMORY = Path("/dev/shm")
ROOM = 6 << 30
"""Bytes that must be free in memory for the files of the tests."""

Stage = tuple[str, tuple[str, ...]]

STATIC: tuple[Stage, ...] = (
    ("format", (str(BIN / "ruff"), "format", "--check", ".")),
    ("lint", (str(BIN / "ruff"), "check", ".")),
    ("types", (str(BIN / "mypy"),)),
    ("imports", (str(BIN / "lint-imports"),)),
    ("contracts", (sys.executable, "tools/contracts.py", "check")),
    # Beside mypy, a core is free: what this compiles, no worker has to compile again.
    ("collection", (*PYTEST, *FORGETTING, *QUICK, "--collect-only", "-qq")),
)
"""Stages that change nothing, and so run concurrently."""
TEST: tuple[Stage, ...] = (("tests", (*PYTEST, *SPREAD, WORKERS, *QUICK)),)
ENGINES: tuple[Stage, ...] = (("engine tests", (*PYTEST, *SPREAD, FEWEST, "-m", "engines", "tests/engines")),)
FULL: tuple[Stage, ...] = (("full tests", (*PYTEST, *SPREAD, FEWER, *THOROUGH)),)

KUBERNETES: tuple[Stage, ...] = (("Kubernetes tests", (*PYTEST, "-m", "kubernetes", "tests/kubernetes")),)


@contextmanager
def files_in_memory(memory: Path = MEMORY, room: int = ROOM) -> Iterator[tuple[str, ...]]:
    """Has the tests keep their files in memory if there is room: a killed process's are there as on a disk.

    Gives the arguments with which pytest does so. To copy a database of PostgreSQL for a test takes a third of the CPU
    there, and SQLite waits for no disk. What a killed run leaves behind, the next one of this checkout removes.
    """
    # The paths of sockets below it must not be longer than below /tmp.
    folder = memory / f"s-{hashlib.sha256(str(ROOT).encode()).hexdigest()[:4]}"
    shutil.rmtree(folder, ignore_errors=True)
    if "TMPDIR" in os.environ or not memory.is_dir() or _free(memory) < room:
        yield ()
        return
    folder.mkdir()
    folder.chmod(0o711)  # engines that run as another user pass through it
    ENVIRONMENT["TMPDIR"] = str(folder)
    try:
        yield ("--basetemp", str(folder / "p"))
    finally:
        del ENVIRONMENT["TMPDIR"]
        shutil.rmtree(folder, ignore_errors=True)


def _free(memory: Path) -> int:
    """Gives the bytes that are free there, and in the memory of this machine."""
    available = [line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemAvailable")]
    return min(shutil.disk_usage(memory).free, *(int(line.split()[1]) * 1024 for line in available))


def _stage(name: str, command: tuple[str, ...]) -> int:
    """Runs a stage, and returns its exit status; prints its output when it fails."""
    began = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, check=False, text=True, capture_output=True)
    took = time.monotonic() - began
    if done.returncode:
        print(done.stdout, done.stderr, sep="", end="")
    print(f"{'ok    ' if done.returncode == 0 else 'FAILED'} {name} ({took:.1f} s)", flush=True)
    return done.returncode


def _tests(name: str, command: tuple[str, ...]) -> int:
    """Runs pytest, and returns its exit status; its own summary is printed last and tells the time.

    Ctrl-C reaches pytest, too, which then ends what its tests have started: that is waited for.
    """
    print(f"       {name}", flush=True)
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        return subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, check=False).returncode
    finally:
        signal.signal(signal.SIGINT, before)


def _tests_again(name: str, command: tuple[str, ...]) -> int:
    """Runs pytest, and then the tests that failed, if they are few, once more; returns the last exit status."""
    with TemporaryDirectory(prefix="souk-failed-") as folder:
        remembering = (*command, "-o", f"cache_dir={folder}")
        status = _tests(name, remembering)
        found = Path(folder, "v", "cache", "lastfailed")
        failed = json.loads(found.read_text()) if found.exists() else {}
        if status != FAILED or not 0 < len(failed) <= MOST_AGAIN:
            return status
        for one in sorted(failed):
            print(f"FAILED {one}: it runs once more, alone; if it passes then, it is still a fault", flush=True)
        return _tests(
            f"{name}, once more", (*remembering, "-n", "1", "--last-failed", "--last-failed-no-failures=none")
        )


def main() -> int:
    """Runs every stage, and returns the exit status of the first that failed."""
    static: tuple[Stage, ...] = ()
    again = sys.argv[2:] == ["--again"]
    match sys.argv[1:2] if again else sys.argv[1:]:
        case ["test"]:
            static, stages = STATIC, TEST
        case ["engines"]:
            stages = ENGINES
        case ["full"]:
            stages = FULL
        case ["kubernetes"]:
            stages = KUBERNETES
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    with ThreadPoolExecutor() as threads:
        statuses = list(threads.map(lambda stage: _stage(*stage), static))
    # Those of the other stages are larger: of engines in Java, of environments for the wheels.
    with files_in_memory() if stages is TEST else nullcontext(()) as where:
        for name, command in stages:
            status = _tests_again(name, (*command, *where)) if again else _tests(name, (*command, *FORGETTING, *where))
            statuses.append(0 if stages is FULL and status == NOTHING_COLLECTED else status)
    return next((status for status in statuses if status), 0)


if __name__ == "__main__":
    sys.exit(main())
