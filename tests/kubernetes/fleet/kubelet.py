"""A small kubelet: makes the pods of manifests containers, and asks their probes."""

import secrets
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import httpx

from souk.kernel.addresses import LOOPBACK
from souk.testing.certificates import Authority
from souk.testing.engines import PATIENCE
from tests.kubernetes.fleet.machine import HOST, PREFIX, Container
from tests.kubernetes.fleet.pod import Manifest, Objects, PodFiles

DATABASE = 5432


class Machine:
    """What pods need of a cluster: an image, the objects that they refer to, a name server; and the pods.

    All of them have `settings` beside those of their manifests.
    """

    def __init__(
        self,
        image: Path,
        folder: Path,
        manifests: Sequence[Manifest],
        stack: ExitStack,
        settings: Mapping[str, str],
    ) -> None:
        self._image, self._folder, self._stack = image, folder, stack
        self.templates = {
            one["metadata"]["name"].partition("--")[0]: one["spec"]["template"]["spec"]
            for one in manifests
            if one["kind"] in ("Deployment", "Job")
        }
        self.migrated = sorted(name for name in self.templates if f"migrate-{name}" in self.templates)
        self.deployments = sorted(name for name in self.templates if not name.startswith("migrate-"))
        maps = {one["metadata"]["name"]: one["data"] | settings for one in manifests if one["kind"] == "ConfigMap"}
        self.passwords = {name: secrets.token_hex(8) for name in self.migrated}
        urls = {
            f"{name}-database": {"url": f"postgresql://{name}:{password}@{HOST}:{DATABASE}/{name}"}
            for name, password in self.passwords.items()
        }
        given = {**urls, **certificates(self.deployments, folder), "souk-secret": {"secret": secrets.token_hex(32)}}
        self._objects = Objects(maps, given)
        self._resolv_conf = folder / "resolv.conf"
        self._resolv_conf.write_text(f"nameserver {HOST}\n")
        self._numbers = {name: number for number, name in enumerate(self.deployments, 10)}
        self._free = iter(range(100, 250))
        self.files: dict[str, PodFiles] = {}

    def address(self, deployment: str) -> str:
        """Gives the address of the one pod of a Deployment."""
        return f"{PREFIX}.{self._numbers[deployment]}"

    def container(self, pod: str, which: Manifest, number: int) -> Container:
        """Starts a container of a pod."""
        if pod not in self.files:
            files = PodFiles(self._folder / pod, pod, self.templates[pod], self._image, self._objects)
            self.files[pod] = files
        bundle = self.files[pod].bundle(which, self._resolv_conf)
        name = f"{pod}-{which['name']}-{secrets.token_hex(4)}"  # also of its control group, which this machine may have
        made = Container(name, bundle, number, self._folder / "runc")
        self._stack.callback(made.remove)
        made.start()
        return made

    def begin_job(self, service: str) -> Container:
        """Starts the Job that migrates a service's database."""
        name = f"migrate-{service}"
        return self.container(name, self.templates[name]["containers"][0], next(self._free))

    def begin_schema(self, service: str) -> Container:
        """Starts the container of a service's pod that waits for the schema."""
        return self.container(service, self.templates[service]["initContainers"][0], next(self._free))

    def begin(self, deployment: str) -> Container:
        """Starts the container of a pod that serves."""
        return self.container(deployment, self.templates[deployment]["containers"][0], self._numbers[deployment])

    def begin_with_demo_data(self, service: str) -> Container:
        """Starts a service once, in its pod, with demo data, which it serves on its own loopback alone."""
        [main] = self.templates[service]["containers"]
        more = {"name": "SOUK_HOST", "value": LOOPBACK}
        demo = {**main, "name": "demo", "args": [*main["args"], "--demo"], "env": [*main["env"], more]}
        return self.container(service, demo, next(self._free))

    def await_ready(self, deployment: str, container: Container) -> None:
        """Asks the probe of a pod until it says that the pod is ready."""
        [main] = self.templates[deployment]["containers"]
        probe = main["readinessProbe"]["httpGet"]
        port = next(one["containerPort"] for one in main["ports"] if one["name"] == probe["port"])
        url = f"http://{self.address(deployment)}:{port}{probe['path']}"
        ends = time.monotonic() + PATIENCE
        while not answers(url):
            assert container.status() == "running", f"{deployment} has ended: {container.log()}"
            assert time.monotonic() < ends, f"{deployment} is not ready: {container.log()}"
            time.sleep(0.2)


def certificates(names: Sequence[str], folder: Path) -> dict[str, dict[str, str]]:
    """Makes the Secrets by which pods prove to each other what they are, by an authority of their own."""
    authority = Authority(folder)
    found = {}
    for name in names:
        cert, key = authority.issue(name)
        files = {"tls.crt": cert, "tls.key": key, "ca.crt": authority.ca}
        found[f"{name}-tls"] = {file: path.read_text() for file, path in files.items()}
    return found


def answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False, timeout=5.0).is_success
    except httpx.HTTPError:
        return False
