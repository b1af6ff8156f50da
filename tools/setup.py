"""Sets up `.venv`: the pinned packages, and Souk's distributions as editable ones.

    python3 tools/setup.py          what runs: the marketplace, as one process and as a fleet
    python3 tools/setup.py dev      that, and the developers' tools

Needs Python 3.11 or later and nothing else. Done once, it is done: a stamp in `.venv` holds what was set up, and a
digest of everything that it depends on. An environment that has the developers' tools keeps them.
"""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / "souk-setup"
CONSTRAINTS = ROOT / "constraints.txt"
OLDEST = (3, 11)
EXTRAS = {"run": "fleet", "dev": "dev"}


def distributions() -> list[Path]:
    """Gives the folders of Souk's distributions; those that others need come first."""
    return [
        ROOT,
        ROOT / "contracts",
        ROOT / "clients" / "python",
        *sorted(path.parent for path in ROOT.glob("marketplace/*/pyproject.toml")),
    ]


def digest() -> str:
    """Makes a digest of everything that the set-up depends on."""
    files = [CONSTRAINTS, Path(__file__), *(folder / "pyproject.toml" for folder in distributions())]
    found = hashlib.sha256(f"{ROOT}\n{sys.version}".encode())
    for file in files:
        found.update(file.read_bytes())
    return found.hexdigest()


def _run(*command: str | Path) -> None:
    """Runs a command in a session of its own, so that Ctrl-C reaches only this process, which then kills the command
    without a traceback of it."""
    words = [str(part) for part in command]
    with subprocess.Popen(words, cwd=ROOT, start_new_session=True) as process:
        try:
            status = process.wait()
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    if status:
        raise subprocess.CalledProcessError(status, words)


def _pip(command: str, *arguments: str | Path) -> None:
    quiet = ("--quiet", "--disable-pip-version-check", "--no-input")
    _run(VENV / "bin" / "python", "-m", "pip", command, *quiet, *arguments)


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


def _forget_old_names() -> None:
    """Removes what this repository installed under a name that it no longer has, with its entry points."""
    names = {tomllib.loads((folder / "pyproject.toml").read_text())["project"]["name"] for folder in distributions()}
    command = (
        VENV / "bin" / "python",
        "-m",
        "pip",
        "list",
        "--editable",
        "--format=json",
        "--disable-pip-version-check",
    )
    listed = subprocess.run([str(part) for part in command], check=True, cwd=ROOT, text=True, capture_output=True)
    old = [
        one["name"]
        for one in json.loads(listed.stdout)
        if Path(one["editable_project_location"]).is_relative_to(ROOT) and one["name"] not in names
    ]
    if old:
        _pip("uninstall", "--yes", *old)


def _install(kind: str) -> None:
    _make_venv()
    _forget_old_names()
    _pip("install", "-c", CONSTRAINTS, "hatchling", "editables")
    editables = [part for folder in distributions()[1:] for part in ("-e", str(folder))]
    _pip("install", "-c", CONSTRAINTS, "--no-build-isolation", "-e", f"{ROOT}[{EXTRAS[kind]}]", *editables)


def _set_up(kind: str) -> int:
    before = STAMP.read_text() if STAMP.exists() else "run"
    if not before.startswith("run"):
        kind = "dev"
    if before == (wanted := f"{kind} {digest()}"):
        return 0
    print("setting up .venv (about a minute, once)", flush=True)
    try:
        _install(kind)
    except subprocess.CalledProcessError as error:
        print(
            f"set-up failed: {error.cmd[0]} ended with {error.returncode}; its own lines above say why", file=sys.stderr
        )
        if not (VENV / "bin" / "pip").exists():
            print("this Python cannot make virtual environments; on Debian: apt install python3-venv", file=sys.stderr)
        return 1
    aside = STAMP.with_suffix(".new")
    aside.write_text(wanted)
    os.replace(aside, STAMP)
    return 0


def main() -> int:
    """Runs the command line; returns the exit status."""
    if sys.version_info < OLDEST:
        print(f"Souk needs Python 3.11 or later, and this is {sys.version.split()[0]}", file=sys.stderr)
        return 1
    match sys.argv[1:]:
        case []:
            return _set_up("run")
        case ["dev"]:
            return _set_up("dev")
        case _:
            print(__doc__, file=sys.stderr)
            return 2


def run() -> int:
    """Runs `main` and returns its exit status; Ctrl-C shows no traceback."""
    try:
        return main()
    except KeyboardInterrupt:
        print("\nset-up was stopped; the next `make setup` begins anew", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(run())
