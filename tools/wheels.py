"""Builds the wheels of all of Souk's distributions.

python tools/wheels.py [DIR]     into DIR, or into dist/; older wheels of ours there are removed

`pip install dist/souk_*.whl` installs them: by file, so that no name of ours is looked for anywhere else.
"""

import subprocess
import sys
from pathlib import Path

from setup import ROOT, distributions


def build(into: Path) -> list[Path]:
    """Builds the wheels into a folder; returns their paths. Raises CalledProcessError with the output of the build."""
    for old in into.glob("souk_*.whl"):
        old.unlink()
    for folder in distributions():
        command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(into), str(folder)]
        subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return sorted(into.glob("souk_*.whl"))


def main() -> int:
    """Builds the wheels and prints their paths; returns the exit status."""
    into = Path(sys.argv[1]) if sys.argv[1:] else ROOT / "dist"
    try:
        for wheel in build(into):
            print(wheel.relative_to(ROOT) if wheel.is_relative_to(ROOT) else wheel)
    except subprocess.CalledProcessError as error:
        print(error.stdout, f"no wheel of {error.cmd[-1]}", sep="\n", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
