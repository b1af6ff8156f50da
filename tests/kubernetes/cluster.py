"""A cluster for tests, and kubectl as its administrator."""

import asyncio
import json
import os
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import yaml

from souk.testing.engines import PATIENCE, engine_path
from tests.kubernetes.credentials import ADMIN, Credentials
from tests.kubernetes.nodes import STAGES, node_manifests
from tests.kubernetes.servers import ApiServer, ControllerManager, Etcd, Kwok, Scheduler

ROOT = Path(__file__).resolve().parents[2]
MANIFESTS = ROOT / "deploy" / "kubernetes"
TIMEOUT = f"--timeout={PATIENCE:g}s"
STRICTEST = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
"""Labels of a namespace that takes no pod with more rights than the standard `restricted` allows."""

Manifest = dict[str, Any]


class Refused(Exception):
    """kubectl ended with an error; the message is what it wrote."""


class Cluster:
    """A running API server, whose data and logs lie in `folder`."""

    def __init__(self, api: ApiServer, credentials: Credentials, folder: Path) -> None:
        self.api, self.folder = api, folder
        self.kubeconfig = str(credentials.kubeconfig(ADMIN))
        self._program = engine_path("kubernetes")
        self._environment = {
            **os.environ,
            "KUBECONFIG": self.kubeconfig,
            "HOME": str(credentials.kubeconfig(ADMIN).parent),
        }

    def kubectl(self, *words: str, given: str = "") -> str:
        """Runs kubectl, and returns what it printed. Raises Refused when it fails."""
        done = subprocess.run(
            (self._program, *words), env=self._environment, input=given, text=True, capture_output=True, check=False
        )
        if done.returncode:
            raise Refused(done.stderr)
        return done.stdout

    @contextmanager
    def watching(self, *words: str) -> Iterator["subprocess.Popen[str]"]:
        """Runs kubectl beside what happens in the block, and ends it with the block."""
        command = (self._program, *words)
        with subprocess.Popen(command, env=self._environment, text=True, stdout=subprocess.PIPE) as process:
            try:
                yield process
            finally:
                process.terminate()

    def namespace(self) -> "Namespace":
        """Makes a namespace whose pods may have no more rights than the strictest standard allows."""
        name = f"test-{uuid.uuid4().hex[:8]}"
        document = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": STRICTEST}}
        self.kubectl("create", "-f", "-", given=json.dumps(document))
        return Namespace(self, name)


class Namespace:
    """A namespace of the cluster."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.cluster, self.name = cluster, name

    def kubectl(self, *words: str, given: str = "") -> str:
        """Runs kubectl in this namespace. Raises Refused when it fails."""
        return self.cluster.kubectl("--namespace", self.name, *words, given=given)

    def apply(self, manifests: str, *options: str) -> str:
        """Applies manifests as the README says: the server merges them, and refuses fields that it does not know."""
        return self.kubectl("apply", "--server-side", "--validate=strict", *options, "-f", "-", given=manifests)

    def get(self, *words: str) -> Manifest:
        """Reads an object, or a list of them."""
        found: Manifest = json.loads(self.kubectl("get", *words, "--output=json"))
        return found

    def pods(self, name: str) -> list[Manifest]:
        """Reads the pods of a workload that nobody has deleted yet, the oldest first."""
        found = self.get("pods", f"--selector=app.kubernetes.io/name={name}")["items"]
        stay = (one for one in found if "deletionTimestamp" not in one["metadata"])
        return sorted(stay, key=lambda one: (one["metadata"]["creationTimestamp"], one["metadata"]["name"]))

    def wait(self, condition: str, *words: str) -> None:
        """Waits until the condition holds for what the words name."""
        self.kubectl("wait", f"--for={condition}", TIMEOUT, *words)

    def rolled_out(self, *names: str) -> None:
        """Waits until the Deployments have rolled out."""
        for name in names:
            self.kubectl("rollout", "status", f"deployment/{name}", TIMEOUT)

    def remove(self) -> None:
        """Removes it with all that is in it, and waits for nothing."""
        self.cluster.kubectl("delete", "namespace", self.name, "--wait=false")


def kustomized(folder: str, tag: str = "") -> str:
    """Renders a folder of deploy/kubernetes, or a kustomization of a user that gives its images another tag."""
    if not tag:
        return _run(engine_path("kubernetes"), "kustomize", str(MANIFESTS / folder))
    above = yaml.safe_load((MANIFESTS / folder / "kustomization.yaml").read_text())
    image = {"name": "souk", "newName": "registry.example/souk", "newTag": tag}
    return rendered({"resources": [folder], "images": [image], "replacements": above["replacements"]})


def rendered(kustomization: Manifest) -> str:
    """Renders a kustomization whose resources are folders of deploy/kubernetes."""
    with tempfile.TemporaryDirectory() as own:
        paths = [os.path.relpath(MANIFESTS / folder, own) for folder in kustomization["resources"]]
        text = yaml.safe_dump({**kustomization, "resources": paths})
        (Path(own) / "kustomization.yaml").write_text(text)
        return _run(engine_path("kubernetes"), "kustomize", own)


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout


@contextmanager
def running_api(folder: Path) -> Iterator[Cluster]:
    """Runs an API server inside the block, with the kinds of the Gateway API, and without anything that acts."""
    crds = engine_path("gateway-api")
    with Etcd(folder / "etcd") as etcd:
        credentials = Credentials(folder / "credentials")
        with ApiServer(folder / "api", credentials, etcd.url) as api:
            credentials.reach(api.url)
            asyncio.run(_started(etcd, api))
            cluster = Cluster(api, credentials, folder)
            cluster.kubectl("apply", "--server-side", "-f", crds)
            cluster.kubectl("wait", "--for=condition=established", TIMEOUT, "crd", "--all")
            yield cluster


@contextmanager
def acting(cluster: Cluster) -> Iterator[None]:
    """Runs the controllers, the scheduler and the nodes inside the block."""
    folder, credentials = cluster.folder, cluster.api.credentials
    with ExitStack() as stack:
        made = (
            ControllerManager(folder / "controllers", credentials),
            Scheduler(folder / "scheduler", credentials),
            Kwok(folder / "kwok", credentials, STAGES),
        )
        asyncio.run(_started(*map(stack.enter_context, made)))
        cluster.kubectl("create", "-f", "-", given=node_manifests())
        cluster.kubectl("wait", "--for=condition=ready", TIMEOUT, "node", "--all")
        yield


async def _started(*servers: Any) -> None:
    for server in servers:
        await server.start()


def eventually(holds: Any) -> None:
    """Asks until it holds what nothing can be waited for by kubectl. Fails after PATIENCE seconds."""
    ends = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < ends, "it does not come to be"
        time.sleep(0.1)
