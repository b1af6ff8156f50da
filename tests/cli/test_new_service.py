"""`souk new service`: what it makes builds, passes the checks, runs in every topology, and is packaged."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from souk.testing.processes import PATIENCE, run
from souk.testing.system import embedded, fleet

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
COPIED = ("souk", "marketplace", "contracts", "tools", "tests", "pyproject.toml", ".importlinter", "constraints.txt")
NAME = "greeting"


def copied(into: Path) -> Path:
    """Copies the files of the checkout that a clone would have."""
    ignored = shutil.ignore_patterns("__pycache__", "node_modules", ".*_cache", "*.egg-info")
    for entry in COPIED:
        if (ROOT / entry).is_dir():
            shutil.copytree(ROOT / entry, into / entry, ignore=ignored)
        else:
            shutil.copy(ROOT / entry, into / entry)
    (into / "README.md").touch()
    shutil.copy(ROOT / "LICENSE", into / "LICENSE")
    return into


def paths(*folders: Path) -> Mapping[str, str]:
    """Makes an environment in which Python finds the copy before the checkout."""
    return {"PYTHONPATH": os.pathsep.join(str(folder) for folder in folders)}


def do(tree: Path, *command: object) -> str:
    environment = {**os.environ, **paths(tree, tree / "contracts" / "gen")}
    done = subprocess.run(
        [str(part) for part in command], cwd=tree, env=environment, text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout after `souk new service greeting` and `make proto`."""
    tree = copied(tmp_path_factory.mktemp("checkout"))
    said = do(tree, BIN / "souk", "new", "service", NAME)
    assert "made     contracts/shop/greeting/v1/greeting.proto" in said
    assert "changed  marketplace/app/app.py" in said
    do(tree, sys.executable, "tools/contracts.py", "generate")
    return tree


@pytest.mark.xdist_group("new-service")
def test_its_own_tests_pass(tree: Path) -> None:
    said = do(tree, sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", f"tests/marketplace/{NAME}")
    assert "6 passed" in said or "......" in said


@pytest.mark.full
@pytest.mark.xdist_group("new-service")
def test_it_passes_every_check(tree: Path) -> None:
    do(tree, BIN / "ruff", "format", "--check", ".")
    do(tree, BIN / "ruff", "check", ".")
    do(tree, BIN / "lint-imports")
    do(tree, sys.executable, "tools/contracts.py", "check")
    do(tree, BIN / "mypy", f"marketplace/{NAME}", "marketplace/app")


@pytest.mark.xdist_group("new-service")
def test_it_is_added_to_the_import_rules_of_services_and_to_no_others(tree: Path) -> None:
    before, after = (ROOT / ".importlinter").read_text(), (tree / ".importlinter").read_text()
    assert "payment | notification | analytics | greeting\n" in after
    assert after.count("greeting") == before.count("    marketplace.notification\n") + 1


@pytest.fixture(scope="module")
def installed(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """Settings with which `souk` runs the copy, with the new service installed from its wheel."""
    dist, site = tmp_path_factory.mktemp("dist"), tmp_path_factory.mktemp("site")
    do(tree, sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", dist, tree / "marketplace" / NAME)
    (wheel,) = dist.glob("souk_marketplace_greeting-*.whl")
    listed = do(tree, sys.executable, "-m", "zipfile", "--list", wheel)
    for file in ("service.py", "migrations/0001_greeting.sql", "use_cases/create_greeting.py"):
        assert f"marketplace/{NAME}/{file}" in listed
    do(tree, sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", site, wheel)
    return {**paths(tree, tree / "contracts" / "gen", site), "PYTHONSAFEPATH": "1"}


@pytest.mark.full
@pytest.mark.xdist_group("new-service")
@pytest.mark.parametrize("start", [embedded, fleet])
def test_it_is_called_through_the_gateway(installed: Mapping[str, str], start: Any, tmp_path: Path) -> None:
    with start(tmp_path, settings=installed) as up, httpx.Client(base_url=up.url, timeout=PATIENCE) as client:
        credentials = {"email": "demo@souk.test", "password": "demo-password"}
        token = (client.post("/api/v1/auth/token", json=credentials)).json()["accessToken"]
        client.headers["authorization"] = f"Bearer {token}"
        created = client.post("/api/v1/greetings", json={"text": "hello"})
        assert created.status_code == 201, created.text
        assert (client.get(created.headers["location"])).json() == created.json()
        missing = client.get("/api/v1/greetings/GREE-none")
        assert (missing.status_code, missing.json()["code"]) == (404, "GREETING_NOT_FOUND")
        assert "/api/v1/greetings/{id}" in (client.get("/openapi.json")).json()["paths"]
        assert up.stop() == [0]


@pytest.mark.parametrize("name", ["Greeting", "2nd", "class", "gateway", "with-hyphen", "a" * 16])
async def test_what_cannot_name_a_service_is_refused(name: str) -> None:
    ended = await run("new", "service", name)
    assert ended.status == 1
    assert ended.err.startswith(f"souk: {name!r} cannot name a service: ")
    assert ended.err.count("\n") == 1


async def test_what_is_there_is_not_touched() -> None:
    ended = await run("new", "service", "order")
    assert (ended.status, ended.err.partition(" already exists")[0]) == (1, "souk: marketplace/order")


async def test_outside_of_a_checkout_it_says_where_to_go(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(BIN / "souk", "new", "service", NAME), cwd=tmp_path, stderr=asyncio.subprocess.PIPE
    )
    _, err = await process.communicate()
    assert process.returncode == 1
    assert f"{tmp_path} is not inside a checkout of the marketplace" in err.decode()
    assert list(tmp_path.iterdir()) == []
