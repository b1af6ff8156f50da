"""The pods of the smallest system as containers of the built image: an order and the journeys go through all."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

from souk.testing.engines import engine_path
from tests.kubernetes.cluster import MANIFESTS, ROOT, kustomized, rendered
from tests.kubernetes.fleet.image import build_image, may_build
from tests.kubernetes.fleet.machine import ALONE, remove_containers

pytestmark = [pytest.mark.kubernetes, pytest.mark.xdist_group("kubernetes")]
LIMIT = 3_600.0
INTERRUPTED = 60.0
"""Seconds that containers have to end after Ctrl-C."""
MOST = 150
"""More journeys than this run in containers, or something leaves them out that should not."""


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The bundle of the image, built from this checkout."""
    if reason := may_build():
        pytest.skip(reason)
    engine_path("dnsmasq")  # the name server of the pods
    subprocess.run((sys.executable, str(ROOT / "tools" / "wheels.py")), check=True, stdout=subprocess.DEVNULL)
    folder = tmp_path_factory.mktemp("image")
    try:
        yield build_image(folder)
    finally:
        shutil.rmtree(folder)  # 2 GB, which pytest would keep for three runs


def in_containers(what: str, manifests: str, image: Path, folder: Path) -> Sequence[str]:
    """Runs the pods of manifests and uses them; returns the lines of what was seen."""
    command = (*ALONE, "--net", sys.executable, "-m", "tests.kubernetes.fleet", what, str(image), str(folder))
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, cwd=ROOT) as process:
        try:
            output, errors = process.communicate(manifests, timeout=LIMIT)
        except KeyboardInterrupt:  # which has reached it, too
            with suppress(subprocess.TimeoutExpired):
                process.wait(INTERRUPTED)
            raise
        finally:
            process.kill()
            process.wait()
            remove_containers(folder / "runc")
    assert process.returncode == 0, output + errors
    return output.splitlines()


def minimal_with_tls() -> str:
    """Renders the smallest system with what it takes from the base: TLS between the pods."""
    above = yaml.safe_load((MANIFESTS / "overlays" / "minimal" / "kustomization.yaml").read_text())
    del above["configMapGenerator"]
    without_tls = {"kind": "Deployment"}
    above["patches"] = [one for one in above["patches"] if one["target"] != without_tls]
    manifests = rendered({**above, "resources": ["base"]})
    assert "SOUK_PLAIN_TCP" not in manifests
    return manifests


def test_an_order_is_placed_in_containers_of_the_image(image: Path, tmp_path: Path) -> None:
    lines = in_containers("order", kustomized("overlays/minimal"), image, tmp_path)
    assert lines[:2] == ["6 databases migrated, 6 pods waited for it", "8 pods ready"]
    assert lines[3] == "order CONFIRMED, payment CAPTURED, and a mail"


def test_the_journeys_go_through_containers_of_the_image(image: Path, tmp_path: Path) -> None:
    lines = in_containers("journeys", minimal_with_tls(), image, tmp_path)
    assert lines[1:3] == ["4 services loaded demo data", "8 pods ready"]
    assert lines[-1] == "8 pods ended when they were asked to"
    passed = re.search(r"(\d+) passed", lines[-2])
    assert passed, lines[-2]
    assert int(passed[1]) > MOST
