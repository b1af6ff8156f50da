"""Sends mutated and generated input to a running system, and checks that it stays whole.

    make fuzz SECONDS=1800 SEED=1
    .venv/bin/python -m tests.attacks.fuzz --seconds 60 --seed 7
    .venv/bin/python -m tests.attacks.fuzz --seed 7 --only 1234

It sends the smuggling corpus with changes, over HTTP/1.1 and HTTP/2; requests by the OpenAPI document, mostly as it
says; calls in the forms of gRPC-Web and Connect; and it reads changed routes and limits files. No answer may be above
4xx, save 501 and 505; every connection is answered or ended; the upstream behind the gateway gets no request that
could be read in two ways; memory does not grow; the process lives. Ends with 1 when something failed.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.attacks.fuzz.run import MEBIBYTE, FuzzRun
from tests.attacks.fuzz.target import fuzz_target


def _arguments() -> argparse.Namespace:
    lines = (__doc__ or "").splitlines()
    parser = argparse.ArgumentParser(prog="python -m tests.attacks.fuzz", description=lines[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="how long (default 60)")
    parser.add_argument("--seed", type=int, default=1, help="decides every input (default 1)")
    parser.add_argument("--only", type=int, metavar="NUMBER", help="send the input of this number alone")
    parser.add_argument("--keep", type=Path, default=Path("var/fuzz"), help="where inputs that fail go (var/fuzz)")
    return parser.parse_args()


def _print_line(line: str) -> None:
    print(line, flush=True)


def main() -> int:
    """Runs, and returns the exit status."""
    wanted = _arguments()
    wanted.keep.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, fuzz_target(Path(folder)) as target:
        run = FuzzRun(target, wanted.seed, wanted.keep, _print_line)
        _print_line(f"seed {wanted.seed}")
        if wanted.only is not None:
            run.fire(wanted.only)
            _print_line(run.report.line())
            return bool(run.report.failures)
        report = run.run(wanted.seconds)
        _print_line(f"memory after the warm-up: {report.growth / MEBIBYTE:+.1f} MiB")
        if report.failures:
            _print_line(target.process.log[-5_000:])
    return bool(report.failures)


if __name__ == "__main__":
    sys.exit(main())
