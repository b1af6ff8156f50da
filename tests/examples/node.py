"""Examples in Node, with the packages that npm brings once into a cache outside the checkout.

Where node 20 or npm's registry is missing, a test is skipped, and says why; a package that cannot be
installed for another reason fails it.
"""

import atexit
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "souk" / "examples"
OLDEST = 20
SHARED = {"payment-node": ("notification-node",)}
"""The examples of which others use modules."""
PATIENCE = 180.0
_NO_REGISTRY = re.compile(r"ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|ERR_SOCKET_TIMEOUT")


@cache
def installed(example: str) -> Path:
    """Copies `examples/<example>`, and those whose modules it shares, to a folder in which it can be started: with its
    contracts and packages."""
    _require_node()
    place = Path(tempfile.mkdtemp(prefix="souk-example-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    shutil.copytree(ROOT / "contracts", place / "contracts", ignore=shutil.ignore_patterns("gen"))
    for name in (example, *SHARED.get(example, ())):
        copy = place / "examples" / name
        shutil.copytree(ROOT / "examples" / name, copy, ignore=shutil.ignore_patterns("node_modules"))
        (copy / "node_modules").symlink_to(_packages(ROOT / "examples" / name))
    return place / "examples" / example


def packages_of(folder: Path) -> Path:
    """Gives the packages that the lock file of a folder names."""
    _require_node()
    return _packages(folder)


def _require_node() -> None:
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("needs node and npm, which are not on the path")
    version = subprocess.run(("node", "--version"), capture_output=True, text=True, check=True).stdout.strip()
    if int(version.removeprefix("v").partition(".")[0]) < OLDEST:
        pytest.skip(f"needs node {OLDEST} or later, and this is {version}")


def _packages(example: Path) -> Path:
    """Gives the folder of the packages that the lock file names, and installs them there once."""
    lock = (example / "package-lock.json").read_bytes()
    place = CACHE / f"{example.name}-{hashlib.sha256(lock).hexdigest()[:12]}"
    if not place.is_dir():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE, prefix=f".{example.name}-") as aside:
            built = Path(aside, example.name)
            built.mkdir()
            for name in ("package.json", "package-lock.json", ".npmrc"):
                shutil.copy(example / name, built)
            _install(built)
            with suppress(OSError):  # another worker was faster; its packages stay
                built.rename(place)
    return place / "node_modules"


def _install(folder: Path) -> None:
    try:
        done = subprocess.run(
            ("npm", "ci", "--no-audit", "--no-fund"), cwd=folder, capture_output=True, text=True, timeout=PATIENCE
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm brings no packages within {PATIENCE:g} s")
    if done.returncode and _NO_REGISTRY.search(done.stderr):
        pytest.skip(f"npm's registry cannot be reached: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
