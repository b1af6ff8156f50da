"""Every manifest fits what the API server says of its kinds, and it takes them as they are."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from souk.testing.engines import engine_path
from tests.kubernetes.cluster import Cluster, Namespace, Refused, eventually, kustomized
from tests.kubernetes.schemas import TEMPLATE, file_name, write_schemas

pytestmark = [pytest.mark.kubernetes, pytest.mark.xdist_group("kubernetes")]
FOLDERS = ("base", "overlays/minimal")


@pytest.fixture(scope="module")
def schemas(api: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of schemas of the kinds of all manifests, as this API server describes them."""
    folder = tmp_path_factory.mktemp("schemas")

    wanted = {file_name(kind) for manifests in map(kustomized, FOLDERS) for kind in kinds(manifests)}

    def are_complete() -> bool:
        return write_schemas(json.loads(api.kubectl("get", "--raw", "/openapi/v2")), wanted, folder) == wanted

    eventually(are_complete)
    return folder


def kinds(manifests: str) -> Iterator[dict[str, str]]:
    for one in yaml.safe_load_all(manifests):
        group, _, version = one["apiVersion"].rpartition("/")
        yield {"group": group, "version": version, "kind": one["kind"]}


def conforms(schemas: Path, manifests: str) -> "subprocess.CompletedProcess[str]":
    command = (engine_path("kubeconform"), "-strict", "-schema-location", f"{schemas}/{TEMPLATE}", "-")
    return subprocess.run(command, input=manifests, text=True, capture_output=True, check=False)


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_manifest_fits_its_schema(schemas: Path, folder: str) -> None:
    done = conforms(schemas, kustomized(folder))
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("terminationGracePeriodSeconds:", "terminationGracePeriod:"),
        ("maxSurge: 1", "maxSurge: true"),
        ("type: PathPrefix", "type: Prefix"),
        ("unhealthyPodEvictionPolicy:", "unhealthyPodsEvictionPolicy:"),
    ],
)
def test_a_mistake_does_not_fit(schemas: Path, right: str, wrong: str) -> None:
    manifests = kustomized("base")
    assert right in manifests
    assert conforms(schemas, manifests.replace(right, wrong)).returncode == 1


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_server_takes_every_manifest_with_strict_validation(namespace: Namespace, folder: str) -> None:
    manifests = kustomized(folder)
    applied = namespace.apply(manifests).splitlines()
    assert len(applied) == len(list(yaml.safe_load_all(manifests)))
    assert all(line.endswith(" serverside-applied") for line in applied)


def test_the_server_refuses_a_field_that_it_does_not_know(namespace: Namespace) -> None:
    wrong = kustomized("base").replace("terminationGracePeriodSeconds:", "terminationGracePeriod:")
    with pytest.raises(Refused, match=r"terminationGracePeriod"):
        namespace.apply(wrong)


def test_a_pod_with_more_rights_is_refused(namespace: Namespace) -> None:
    namespace.kubectl("create", "serviceaccount", "loose")
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "loose"},
        "spec": {"serviceAccountName": "loose", "containers": [{"name": "loose", "image": "souk"}]},
    }
    with pytest.raises(Refused, match=r'violates PodSecurity "restricted'):
        namespace.kubectl("create", "-f", "-", given=yaml.safe_dump(pod))
