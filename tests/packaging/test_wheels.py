"""A service is a wheel: it installs and starts in a clean environment without the other six."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SERVICES = sorted(path.parent.name for path in ROOT.glob("marketplace/*/service.py"))
pytestmark = [pytest.mark.full, pytest.mark.xdist_group("wheels")]


def run(*command: object, **more: object) -> str:
    done = subprocess.run([str(part) for part in command], text=True, capture_output=True, check=False, **more)
    assert done.returncode == 0, done.stdout + done.stderr
    return str(done.stdout)


def make_environment(environment: Path, *wheels: Path) -> Path:
    """Makes an environment with nothing but these wheels and what they need, and returns its programs' folder.

    The pip that runs this installs into it: one of its own would take longer than the wheels.
    """
    run(sys.executable, "-m", "venv", "--without-pip", environment)
    pip = (sys.executable, "-m", "pip", "--python", environment / "bin" / "python")
    run(*pip, "install", "--quiet", "--no-compile", "--constraint", ROOT / "constraints.txt", *wheels)
    return environment / "bin"


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheels") / "dist"
    folder.mkdir()
    run(sys.executable, ROOT / "tools" / "wheels.py", folder)
    return folder


@pytest.fixture(scope="module")
def order_alone(wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    needed = [
        wheel
        for name in ("souk_platform", "souk_marketplace_contracts", "souk_marketplace_order")
        for wheel in wheels.glob(f"{name}-*.whl")
    ]
    return make_environment(tmp_path_factory.mktemp("clean") / "venv", *needed)


def test_only_order_is_installed(order_alone: Path) -> None:
    code = "import pkgutil, marketplace; print([found.name for found in pkgutil.iter_modules(marketplace.__path__)])"
    assert run(order_alone / "python", "-c", code, cwd=order_alone).strip() == "['order']"


def test_it_starts_answers_and_stops(order_alone: Path, tmp_path: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("SOUK_", "PYTHON"))}
    command = [str(order_alone / "souk"), "serve", "order", "--port", "0", "--data", str(tmp_path / "data"), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path, env=environment) as process:
        try:
            assert process.stdout is not None
            said = json.loads(process.stdout.readline())
            health = (
                "import sys, grpc; from grpc_health.v1 import health_pb2 as pb, health_pb2_grpc as s;"
                "stub = s.HealthStub(grpc.insecure_channel(sys.argv[1]));"
                "print(stub.Check(pb.HealthCheckRequest(), timeout=10).status)"
            )
            assert run(sys.executable, "-c", health, said["address"]).strip() == "1"
        finally:
            process.terminate()
            assert process.wait(timeout=30) == 0


@pytest.fixture(scope="module")
def as_the_readme_says(wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Makes an environment by running every line of the README that installs something, in order."""
    environment = tmp_path_factory.mktemp("readme") / "venv"
    run(sys.executable, "-m", "venv", environment)
    blocks = re.findall(r"^```\n(.*?)^```", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE)
    lines = [line.partition("#")[0] for block in blocks for line in block.splitlines() if "pip install" in line]
    assert lines
    pinned = {**os.environ, "PATH": f"{environment / 'bin'}:{os.environ['PATH']}", "PIP_NO_COMPILE": "1"}
    for line in lines:
        run("bash", "-c", line, cwd=wheels.parent, env={**pinned, "PIP_CONSTRAINT": str(ROOT / "constraints.txt")})
    return environment / "bin"


def test_the_readme_s_lines_install_the_whole_marketplace(as_the_readme_says: Path) -> None:
    routes = json.loads(run(as_the_readme_says / "souk", "routes", "--json", cwd=as_the_readme_says))
    assert {route["service"] for route in routes} >= {"product", "user", "order", "inventory", "payment", "analytics"}
    code = "import asyncpg, redis, souk.backing.postgres.binaries as found; print(found.__name__)"
    assert run(as_the_readme_says / "python", "-c", code, cwd=as_the_readme_says)


@pytest.mark.parametrize("name", SERVICES)
def test_every_wheel_holds_its_service_and_migrations(wheels: Path, name: str) -> None:
    (wheel,) = wheels.glob(f"souk_marketplace_{name}-*.whl")
    listed = run(sys.executable, "-m", "zipfile", "--list", wheel)
    assert f"marketplace/{name}/service.py" in listed
    migrations = [path.name for path in (ROOT / "marketplace" / name).glob("migrations/*.sql")]
    assert all(f"marketplace/{name}/migrations/{file}" in listed for file in migrations)


@pytest.mark.parametrize(("wheel", "package"), [("souk_platform", "soukapi"), ("souk_marketplace_contracts", "shop")])
def test_the_comments_of_contracts_are_in_the_wheel(wheels: Path, wheel: str, package: str) -> None:
    (found,) = wheels.glob(f"{wheel}-*.whl")
    assert f"{package}/comments.json" in run(sys.executable, "-m", "zipfile", "--list", found)


def test_the_client_is_typed_and_needs_nothing_else_of_ours(
    wheels: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    (wheel,) = wheels.glob("souk_client-*.whl")
    assert "souk_client/py.typed" in run(sys.executable, "-m", "zipfile", "--list", wheel)
    programs = make_environment(tmp_path_factory.mktemp("client") / "venv", wheel)
    shown = "print(souk_client.Client('http://a').url, *map(find_spec, ('souk', 'grpc')))"
    code = f"import souk_client; from importlib.util import find_spec; {shown}"
    assert run(programs / "python", "-c", code, cwd=programs).split() == ["http://a", "None", "None"]
