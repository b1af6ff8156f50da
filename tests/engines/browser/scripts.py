"""Runs the scripts of engines/browser, which use a page in real Chromium and print what they found as JSON."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from souk.testing.engines import engine_path
from tests.examples.node import packages_of

TOOLS = Path(__file__).resolve().parents[3] / "engines" / "browser"
PATIENCE = 900.0


def found_by(script: str, url: str, folder: Path, *arguments: str) -> dict[str, Any]:
    """Runs a script for the system at `url`; pictures of the pages, and the script itself, come into `folder`."""
    browser, packages = engine_path("chromium"), packages_of(TOOLS)
    if not (folder / "node_modules").exists():
        shutil.copytree(TOOLS, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.json", "node_modules"))
        (folder / "node_modules").symlink_to(packages)
    command = ("node", script, browser, url, str(folder), *arguments)
    done = subprocess.run(command, cwd=folder, text=True, capture_output=True, check=False, timeout=PATIENCE)
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found
