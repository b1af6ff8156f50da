"""Sets up `.venv`: the pinned packages, and Souk's distributions as editable ones.

    python3 tools/setup.py          what runs: the marketplace, as one process and as a fleet
    python3 tools/setup.py dev      that, and the developers' tools

Needs Python 3.11 or later and nothing else. Done once, it is done: a stamp in `.venv` holds what was set up, and a
digest of everything that it depends on. An environment that has the developers' tools keeps them.

uv installs, in a sixth of the CPU that pip takes. pip brings uv, and does the rest too where uv cannot.
"""

import ast
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tomllib
import venv
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / "souk-setup"
CONSTRAINTS = ROOT / "constraints.txt"
OLDEST = (3, 11)
EXTRAS = {"run": "fleet", "dev": "dev"}
INSTALLER_SETTINGS = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "no-index": "UV_NO_INDEX",
    "find-links": "UV_FIND_LINKS",
    "trusted-host": "UV_INSECURE_HOST",
    "proxy": "ALL_PROXY",
    "cert": "SSL_CERT_FILE",
    "timeout": "UV_HTTP_TIMEOUT",
}
"""uv's variables for pip's settings, which it does not read."""


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


def _run(*command: str | Path, more: Mapping[str, str] | None = None) -> None:
    """Runs a command, with more variables, in a session of its own, so that Ctrl-C reaches only this process, which
    then kills the command without a traceback of it."""
    words = [str(part) for part in command]
    variables = {**os.environ, **(more or {})}
    with subprocess.Popen(words, cwd=ROOT, env=variables, start_new_session=True) as process:
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


def _make_venv() -> bool:
    """Makes `.venv` unless there is one, and tells whether it did."""
    if (VENV / "bin" / "python").exists() and (VENV / "bin" / "pip").exists():
        return False
    shutil.rmtree(VENV, ignore_errors=True)
    try:
        venv.create(VENV, with_pip=True)
    except (subprocess.CalledProcessError, ImportError):
        # Debian leaves ensurepip out of Python; a pip from elsewhere can install itself into the environment.
        venv.create(VENV, with_pip=False, clear=True)
        _run(sys.executable, "-m", "pip", "--python", VENV / "bin" / "python", "install", "--quiet", "pip")
    return True


def _output_of_pip(*arguments: str) -> str:
    command = (str(VENV / "bin" / "python"), "-m", "pip", *arguments, "--disable-pip-version-check")
    return subprocess.run(command, check=True, cwd=ROOT, text=True, stdout=subprocess.PIPE).stdout


def _forget_old_names() -> None:
    """Removes what this repository installed under a name that it no longer has, with its entry points."""
    names = {tomllib.loads((folder / "pyproject.toml").read_text())["project"]["name"] for folder in distributions()}
    old = [
        one["name"]
        for one in json.loads(_output_of_pip("list", "--editable", "--format=json"))
        if Path(one["editable_project_location"]).is_relative_to(ROOT) and one["name"] not in names
    ]
    if old:
        _pip("uninstall", "--yes", *old)


def settings_for_uv(listed: str) -> dict[str, str]:
    """Gives the variables by which uv finds packages where pip does, from the output of `pip config list`."""
    found: dict[str, str] = {}
    for line in sorted(listed.splitlines(), key=lambda line: line.startswith(":env:")):  # variables win over files
        key, _, text = line.partition("=")
        name = INSTALLER_SETTINGS.get(key.rpartition(".")[2])
        words = str(ast.literal_eval(text)).split() if name else []
        if name == "UV_FIND_LINKS":
            words = [word for word in words if "://" in word or Path(word).is_dir()]
        if name and words:
            found[name] = (" " if name == "UV_INDEX" else ",").join(words)
    if "UV_INDEX" in found:
        found["UV_INDEX_STRATEGY"] = "unsafe-best-match"  # as pip takes the newest of all indexes
    return found


def _install_by_uv(kind: str, ours: list[str]) -> None:
    _pip("install", "-c", CONSTRAINTS, "uv")
    settings = settings_for_uv(_output_of_pip("config", "list"))
    # Of the developers' packages most are never imported: what is, is compiled when it first is.
    compiled = ("--compile-bytecode",) if kind == "run" else ()
    pinned = ("-c", CONSTRAINTS, "-b", CONSTRAINTS)
    command = (VENV / "bin" / "uv", "pip", "install", "--quiet", "--python", VENV / "bin" / "python")
    _run(*command, *pinned, *compiled, *ours, more={name: settings[name] for name in settings.keys() - os.environ})


def _install(kind: str) -> None:
    if not _make_venv():
        _forget_old_names()
    ours = ["-e", f"{ROOT}[{EXTRAS[kind]}]", *(part for folder in distributions()[1:] for part in ("-e", str(folder)))]
    try:
        _install_by_uv(kind, ours)
    except subprocess.CalledProcessError:
        print("uv did not install it, for the reason above; pip does (about a minute more)", flush=True)
        _pip("install", "-c", CONSTRAINTS, "hatchling", "editables")
        _pip("install", "-c", CONSTRAINTS, "--no-build-isolation", *ours)


def _set_up(kind: str) -> int:
    before = STAMP.read_text() if STAMP.exists() else "run"
    if not before.startswith("run"):
        kind = "dev"
    if before == (wanted := f"{kind} {digest()}"):
        return 0
    print("setting up .venv (about half a minute, once)", flush=True)
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
