"""Runs a fleet while things happen to it, and compares everything in the end.

    make chaos MINUTES=5 SEED=7
    .venv/bin/python -m tests.chaos --minutes 2 --seed 7 --json report.json
    .venv/bin/python -m tests.chaos --only "bank killed" --minutes 1
    make chaos BROKER=kafka

As root its data lies on a small file system of its own, so that the disk can be filled; it is mounted in a
mount namespace of this command alone, and gone with it. Ends with 1 when there was a violation.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from souk.supervisor.backing_processes import BUS
from tests.chaos.brokers import BROKERS
from tests.chaos.faults import FAULTS
from tests.chaos.run import Plan, run

DISK = "600m"
INSIDE = "SOUK_CHAOS_NAMESPACE"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=2.0, help="how long faults are injected (default 2)")
    parser.add_argument("--seed", type=int, default=1, help="decides what happens, and when (default 1)")
    brokers = f"the fleet's broker, one of {', '.join(BROKERS)} (default {BUS}: its own)"
    parser.add_argument("--broker", choices=BROKERS, default=BUS, help=brokers)
    parser.add_argument("--json", type=Path, help="write the report to this file, too")
    names = [kind.name for kind in FAULTS]
    parser.add_argument("--keep", type=Path, metavar="DIR", help="copy logs and data there when something is violated")
    parser.add_argument("--only", action="append", choices=names, metavar="FAULT", help=f"one of: {', '.join(names)}")
    return parser.parse_args()


def _print_line(line: str) -> None:
    print(line, flush=True)


def _apart() -> int | None:
    """Runs this same command in a mount namespace of its own, and returns its exit status; None if this is that
    namespace, or there can be none."""
    if os.geteuid() != 0 or INSIDE in os.environ:
        return None
    words = ("unshare", "--mount", "--propagation", "private", sys.executable, "-m", "tests.chaos", *sys.argv[1:])
    return subprocess.run(words, env={**os.environ, INSIDE: "yes"}, check=False).returncode


def _sockets(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if (Path(folder) / name).is_socket()]


def main() -> int:
    """Runs the chaos test, prints its report, and returns the exit status."""
    arguments = _arguments()
    status = _apart()
    if status is not None:
        return status
    with tempfile.TemporaryDirectory(prefix="souk-chaos-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o711)
        folder, small = Path(name) / "disk", INSIDE in os.environ
        folder.mkdir()
        if small:
            subprocess.run(("mount", "-t", "tmpfs", "-o", f"size={DISK},mode=711", "tmpfs", folder), check=True)
        try:
            kinds = [kind for kind in FAULTS if not arguments.only or kind.name in arguments.only]
            report = run(
                Plan(folder, arguments.minutes * 60, arguments.seed, small, kinds, arguments.broker), _print_line
            )
            if report.violations and arguments.keep:
                shutil.copytree(name, arguments.keep, symlinks=True, ignore=_sockets, dirs_exist_ok=True)
        finally:
            if small:
                subprocess.run(("umount", "--lazy", folder), check=False)
    if arguments.json:
        arguments.json.write_text(json.dumps(report.document(), indent=1) + "\n")
    print("\n".join(report.lines()))
    return 1 if report.violations else 0


if __name__ == "__main__":
    sys.exit(main())
