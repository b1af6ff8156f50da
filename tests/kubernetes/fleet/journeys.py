"""Runs tests/journeys against containers: by HTTP alone, with their databases, mails and output read from outside."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from souk.testing.engines import PATIENCE
from tests.kubernetes.cluster import ROOT
from tests.kubernetes.fleet.kubelet import Machine
from tests.kubernetes.fleet.machine import ANOTHER, Container
from tests.market.given_system import VARIABLE

SETTINGS = {"SOUK_LIMITS": "report"}
"""What pods are given beside their manifests: limits only report, as they do with demo data, since all requests of the
tests come from one address."""
DEMO = ("product", "user", "inventory", "payment")
"""The services with demo data."""
LEFT_OUT = {
    "test_console.py": "the console is off in a cluster",
    "test_console_telemetry.py": "the console is off in a cluster",
    "test_gathering.py": "the console is off in a cluster",
    "test_logs.py": "`souk logs` reads the files of one machine",
    "test_rebuild.py": "`souk rebuild` asks processes over sockets of one machine",
    "test_figures.py::test_figures_that_were_lost_are_built_anew": "it needs `souk rebuild`",
    "test_gateway.py::test_it_says_how_it_is": "metrics are not on the public port without demo data",
    "test_overload.py": "it starts a system of its own",
    "test_docs_examples.py": "it starts a system of its own",
    "test_sharing_out.py": "it is about the tests themselves",
}
"""Why a file or a test of tests/journeys does not run."""


def load_demo_data(machine: Machine) -> None:
    """Has each service load its demo data: in its own pod, by a container that has ended before the pod serves."""
    loading = {name: machine.begin_with_demo_data(name) for name in DEMO}
    for name, container in loading.items():
        ends = time.monotonic() + PATIENCE
        while f"ready {name} " not in container.output.read_text():
            assert container.status() == "running", f"{name} has ended: {container.log()}"
            assert time.monotonic() < ends, f"{name} does not load its demo data: {container.log()}"
            time.sleep(0.2)
    for container in loading.values():
        container.end()
    print(f"{len(loading)} services loaded demo data", flush=True)


def run_journeys(machine: Machine, serving: Mapping[str, Container], url: str, server: str, folder: Path) -> None:
    """Runs the journeys, and the comparison of all databases after them. Raises CalledProcessError if one fails."""
    data, logs = folder / "data", folder / "logs"
    data.mkdir(parents=True)
    logs.mkdir()
    (data / "notification").symlink_to(_data(machine, "notification") / "notification")
    for name, container in serving.items():
        (logs / f"{name}.log").symlink_to(container.output)
    given = {
        "mode": "containers",
        "url": url,
        "data": str(data),
        "bank": str(_data(machine, "payment") / "payment"),
        "server": server,
        "other_address": ANOTHER,
    }
    (folder / "given.json").write_text(json.dumps(given))
    journeys = "tests/journeys"
    without = [f"--{'deselect' if '::' in name else 'ignore'}={journeys}/{name}" for name in LEFT_OUT]
    command = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rs", journeys, *without)
    subprocess.run(command, cwd=ROOT, env={**os.environ, VARIABLE: str(folder / "given.json")}, check=True)
    for name, container in serving.items():
        assert container.status() == "running", f"{name} has ended: {container.log()}"


def _data(machine: Machine, pod: str) -> Path:
    """Gives the data directory of a pod, which lies in its volume."""
    return machine.files[pod].volume("data") / "data"
