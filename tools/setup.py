"""Sets up `.venv`: the pinned packages, and Souk's nine distributions as editable ones.

    python3 tools/setup.py

Needs Python 3.11 or later and nothing else. Done once, it is done: a stamp in `.venv` holds a digest
of everything that the set-up depends on.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / "souk-setup"
CONSTRAINTS = ROOT / "constraints.txt"
OLDEST = (3, 11)


def distributions() -> list[Path]:
    """The folders of the nine distributions, those that others need first."""
    return [ROOT, ROOT / "contracts", *sorted(path.parent for path in ROOT.glob("marketplace/*/pyproject.toml"))]


def digest() -> str:
    """Changes with whatever the set-up depends on."""
    files = [CONSTRAINTS, Path(__file__), *(folder / "pyproject.toml" for folder in distributions())]
    found = hashlib.sha256(f"{ROOT}\n{sys.version}".encode())
    for file in files:
        found.update(file.read_bytes())
    return found.hexdigest()


def _run(*command: str | Path) -> None:
    subprocess.run([str(part) for part in command], check=True, cwd=ROOT)


def _pip(*arguments: str | Path) -> None:
    quiet = ("--quiet", "--disable-pip-version-check", "--no-input")
    _run(VENV / "bin" / "python", "-m", "pip", "install", *quiet, "-c", CONSTRAINTS, *arguments)


def _make_venv() -> None:
    if (VENV / "bin" / "python").exists() and (VENV / "bin" / "pip").exists():
        return
    shutil.rmtree(VENV, ignore_errors=True)
    try:
        venv.create(VENV, with_pip=True)
    except (subprocess.CalledProcessError, ImportError):
        # Debian leaves ensurepip out of Python; a pip from elsewhere can install itself into the environment.
        venv.create(VENV, with_pip=False, clear=True)
        _run(sys.executable, "-m", "pip", "--python", VENV / "bin" / "python", "install", "--quiet", "pip")


def main() -> int:
    """Returns the exit status."""
    if sys.version_info < OLDEST:
        print(f"Souk needs Python 3.11 or later, and this is {sys.version.split()[0]}", file=sys.stderr)
        return 1
    if STAMP.exists() and STAMP.read_text() == digest():
        return 0
    print("setting up .venv (about a minute, once)", flush=True)
    try:
        _make_venv()
        _pip("hatchling", "editables")
        editables = [part for folder in distributions()[1:] for part in ("-e", str(folder))]
        _pip("--no-build-isolation", "-e", f"{ROOT}[dev]", *editables)
    except subprocess.CalledProcessError as error:
        print(
            f"set-up failed: {error.cmd[0]} ended with {error.returncode}; its own lines above say why", file=sys.stderr
        )
        if not (VENV / "bin" / "pip").exists():
            print("this Python cannot make virtual environments; on Debian: apt install python3-venv", file=sys.stderr)
        return 1
    aside = STAMP.with_suffix(".new")
    aside.write_text(digest())
    os.replace(aside, STAMP)
    return 0


if __name__ == "__main__":
    sys.exit(main())
