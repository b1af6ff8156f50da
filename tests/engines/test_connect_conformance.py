"""The public conformance suite of Connect, gRPC and gRPC-Web (connectrpc.com/conformance), over what speaks them here:
the server and the client that services call each other with, and the gateway."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from souk.testing.engines import engine_path

pytestmark = [pytest.mark.engines, pytest.mark.xdist_group("connectconformance")]

ROOT = Path(__file__).resolve().parent.parent.parent
PROGRAMS = Path(__file__).resolve().parent / "connect"
MESSAGES = ("config", "service", "client_compat", "server_compat")
LEAST = {"server": 46, "client": 55, "gateway": 1_854}
"""How many cases of release 1.0.7 apply; a run of fewer has left some out by mistake."""


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The suite's messages in Python, out of the module that the suite was built from."""
    engine_path("connectconformance")
    place = ("go", "list", "-m", "-f", "{{.Dir}}", "connectrpc.com/conformance")
    module = subprocess.run(place, cwd=ROOT / "engines/connectconformance", capture_output=True, text=True, check=False)
    if not module.stdout.strip():
        pytest.skip(f"the suite's messages are not here: {module.stderr.strip()}")
    protos, out = Path(module.stdout.strip()) / "proto", tmp_path_factory.mktemp("generated")
    files = [f"connectrpc/conformance/v1/{name}.proto" for name in MESSAGES]
    flags = (f"-I{protos}", f"--python_out={out}", f"--grpc_python_out={out}")
    subprocess.run((sys.executable, "-m", "grpc_tools.protoc", *flags, *files), check=True)
    return out


@pytest.mark.parametrize(
    ("mode", "program", "features"),
    [
        ("server", "server", "only_what_souk_speaks"),
        ("client", "client", "only_what_souk_speaks"),
        ("server", "gateway", "what_the_gateway_speaks"),
    ],
    ids=["server", "client", "gateway"],
)
def test_conformance(mode: str, program: str, features: str, generated: Path) -> None:
    command = (
        *(engine_path("connectconformance"), "--mode", mode, "--max-servers", "1"),
        *("--conf", str(PROGRAMS / f"{features}.yaml"), "--"),
        *(sys.executable, str(PROGRAMS / f"{program}.py")),
    )
    path = os.pathsep.join((str(generated), str(PROGRAMS), str(ROOT)))
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False, timeout=300
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said[-4_000:]
    passed = re.search(r"(\d+) passed, 0 failed", said)
    assert passed is not None, said
    assert int(passed[1]) >= LEAST[program]
