"""Installs packages for node, once, into a folder that git ignores."""

import shutil
import subprocess
from pathlib import Path

from bench.figures import progress

HERE = Path(__file__).parent
CACHE = HERE / ".cache"
PATIENCE = 120.0


def bring(name: str, package: str) -> Path | None:
    """Copies the folder `name`, and installs `package` and its other packages there; None if that is not possible."""
    if not (shutil.which("node") and shutil.which("npm")):
        return None
    folder = CACHE / name
    folder.mkdir(parents=True, exist_ok=True)
    for file in (HERE / name).iterdir():
        shutil.copy(file, folder)
    if (folder / "node_modules" / package).is_dir():
        return folder
    progress(f"npm brings {name}")
    command = ("npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--silent")
    try:
        done = subprocess.run(command, cwd=folder, check=False, capture_output=True, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        return None
    return folder if done.returncode == 0 else None
