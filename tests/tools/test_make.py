"""What `make` starts and sets up is what the README and the commands take for granted."""

import subprocess
import tomllib
from pathlib import Path

from souk.runtime.config.settings import Settings

ROOT = Path(__file__).resolve().parents[2]


def recipe(target: str) -> str:
    done = subprocess.run(("make", "-n", target), cwd=ROOT, text=True, capture_output=True, check=True)
    return done.stdout


def test_make_run_uses_the_directory_that_commands_look_at() -> None:
    assert f"--data {Settings().data.directory} " in recipe("run")


def test_running_needs_none_of_the_developers_tools() -> None:
    assert "tools/setup.py dev" not in recipe("run")
    assert "tools/setup.py dev" in recipe("test")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    running = {*project["dependencies"], *project["optional-dependencies"]["fleet"]}
    assert running.isdisjoint({"pytest", "mypy", "ruff", "hypothesis", "build", "buf-bin", "grpcio-tools"})
