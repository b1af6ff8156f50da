"""The surface of the platform is what its page says, and each name of it is explained."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = ("souk.sdk", "souk.sdk.emulator")


def test_the_page_is_what_the_code_gives() -> None:
    command = [sys.executable, str(ROOT / "tools" / "sdk_page.py"), "check"]
    done = subprocess.run(command, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", MODULES)
def test_every_name_is_listed_and_stands_on_the_page(path: str) -> None:
    module = importlib.import_module(path)
    public = {name for name in vars(module) if not name.startswith("_")}
    assert public - set(module.__all__) <= {"emulator"}, "what it imports it lists; the submodule comes by itself"
    page = (ROOT / "docs" / "sdk.md").read_text()
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    assert [name for name in module.__all__ if not any(name in row for row in rows)] == []


def test_every_name_is_explained() -> None:
    sys.path.insert(0, str(ROOT / "tools"))
    try:
        sdk_page = importlib.import_module("sdk_page")
    finally:
        sys.path.pop(0)
    assert sdk_page.undocumented() == []
