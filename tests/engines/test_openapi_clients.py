"""The OpenAPI document as those use it who build on it: clean for a linter, and typed in generated clients."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from marketplace.app.app import app
from souk.descriptors.contract import contract_of
from souk.gateway.openapi.document import document_of
from souk.testing.system import embedded
from tests.examples.node import packages_of

pytestmark = [pytest.mark.engines, pytest.mark.xdist_group("openapi clients")]
TOOLS = Path(__file__).resolve().parents[2] / "engines" / "openapi-clients"
PATIENCE = 300.0


def do(folder: Path, *command: object) -> str:
    parts: Sequence[str] = [str(part) for part in command]
    done = subprocess.run(parts, cwd=folder, text=True, capture_output=True, check=False, timeout=PATIENCE)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    contracts = [contract_of(service.contract) for service in app.services]
    return document_of(contracts, app.name.capitalize(), app.token_issuer)


@pytest.fixture(scope="module")
def folder(document: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the document and the checks."""
    folder = tmp_path_factory.mktemp("clients")
    (folder / "openapi.json").write_text(json.dumps(document))
    for name in ("check.ts", "check.py"):
        (folder / name).write_text((TOOLS / name).read_text())
    return folder


@pytest.fixture(scope="module")
def node(folder: Path) -> Path:
    """The folder of the programs that npm installs."""
    (folder / "node_modules").symlink_to(packages_of(TOOLS))
    return folder / "node_modules" / ".bin"


def test_a_linter_has_nothing_to_say(folder: Path, node: Path) -> None:
    said = do(folder, node / "redocly", "lint", "--format=json", "--extends=recommended", "openapi.json")
    found = json.loads(said[said.index("{") : said.rindex("}") + 1])
    assert found["totals"] == {"errors": 0, "warnings": 0, "ignored": 0}, found["problems"]


def test_a_client_in_typescript_compiles_and_knows_a_conflict_s_fields(folder: Path, node: Path) -> None:
    do(folder, node / "openapi-typescript", "openapi.json", "--output", "schema.d.ts")
    do(folder, node / "tsc", "--strict", "--noEmit", "--skipLibCheck", "false", "check.ts", "schema.d.ts")


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the generator."""
    environment = tmp_path_factory.mktemp("python") / "venv"
    do(environment.parent, sys.executable, "-m", "venv", environment)
    try:
        do(environment.parent, environment / "bin" / "pip", "install", "-q", "-r", TOOLS / "requirements.txt")
    except AssertionError as error:
        if "Connection" in str(error) or "Temporary failure" in str(error):
            pytest.skip(f"the generator cannot be had here: {str(error)[-300:]}")
        raise
    return environment / "bin"


def test_a_client_in_python_has_every_answer_and_a_conflict_s_fields(
    document: dict[str, Any], folder: Path, python: Path
) -> None:
    generate = ("generate", "--path", "openapi.json", "--meta", "none", "--output-path", "client")
    assert "WARNING" not in do(folder, python / "openapi-python-client", *generate)
    do(folder, python / "python", "-m", "compileall", "-q", "client")
    place = document["paths"]["/api/v1/orders"]["post"]
    conflicts = place["responses"]["409"]["content"]["application/problem+json"]["examples"]
    (folder / "409.json").write_text(json.dumps(conflicts["OUT_OF_STOCK"]["value"]))
    (folder / "order.json").write_text(json.dumps(place["requestBody"]["content"]["application/json"]["example"]))
    assert do(folder, python / "python", "check.py", "409.json", "order.json") == "P-101 1\n"


def test_a_program_in_typescript_orders_from_a_system_by_its_served_document(node: Path, tmp_path: Path) -> None:
    (tmp_path / "node_modules").symlink_to(node.parent)
    (tmp_path / "order.mts").write_text((TOOLS / "order.mts").read_text())
    with embedded(tmp_path / "system") as system:
        served = httpx.get(f"{system.url}/openapi.json")
        (tmp_path / "openapi.json").write_bytes(served.content)
        do(tmp_path, node / "openapi-typescript", "openapi.json", "--output", "schema.d.ts")
        checks = ("--strict", "--skipLibCheck", "false", "--module", "nodenext", "--target", "es2022")
        do(tmp_path, node / "tsc", *checks, "--lib", "es2022,dom", "order.mts")
        found = json.loads(do(tmp_path, "node", "order.mjs", system.url))
    assert found == {"status": "CONFIRMED", "same": True, "replayed": "true", "available": 1}
