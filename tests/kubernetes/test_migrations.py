"""A new version waits for its schema: what its pods and its Job run is run here, and the controllers go by how it ends.

The nodes hold the pods; this test is their kubelet, runs the commands of the pods as processes against PostgreSQL, and
lets each pod go on when its command has ended well.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml

from souk.testing.postgres import TemporaryPostgres
from souk.testing.processes import PATIENCE, begin, run
from tests.kubernetes.cluster import Cluster, Manifest, Namespace, eventually, kustomized
from tests.kubernetes.nodes import HELD

pytestmark = [pytest.mark.kubernetes, pytest.mark.xdist_group("kubernetes")]
SERVICE = "inventory"
PASSWORD = "pw-0815"
LEAST = 2


def version(tag: str, held: bool) -> str:
    """Renders what belongs to the service, with pods that run at once, or that are held."""
    names = {SERVICE, f"{SERVICE}-service", f"migrate-{SERVICE}--{tag}"}
    found = list(yaml.safe_load_all(kustomized("base", tag)))
    found = [one for one in found if one["metadata"]["name"] in names or one["kind"] == "ConfigMap"]
    for one in found:
        if held and one["kind"] in ("Deployment", "Job"):
            one["spec"]["template"]["metadata"].setdefault("annotations", {})[HELD] = "yes"
    return yaml.safe_dump_all(found)


def held(namespace: Namespace, name: str) -> list[Manifest]:
    """Finds the pods of a workload that are on a node and are held there."""
    found = namespace.pods(name)
    return [one for one in found if HELD in one["metadata"].get("annotations", ()) and "nodeName" in one["spec"]]


def let_go(namespace: Namespace, pod: Manifest) -> None:
    namespace.kubectl("annotate", f"pod/{pod['metadata']['name']}", f"{HELD}-")


class Kubelet:
    """Runs the command of a container as a process, with the container's variables and the Secret of the database."""

    def __init__(self, folder: Path, url: str) -> None:
        self._folder = folder
        (folder / "url").write_text(url)

    def command(self, container: Manifest) -> tuple[tuple[str, ...], dict[str, str]]:
        variables = {one["name"]: one["value"] for one in container["env"]}
        assert variables == {"SOUK_POSTGRES": "@/run/souk/database/url"}
        return tuple(container["args"]), {"SOUK_POSTGRES": f"@{self._folder / 'url'}"}


@pytest.fixture
async def kubelet(postgres_server: TemporaryPostgres, tmp_path: Path) -> AsyncIterator[Kubelet]:
    """A kubelet whose pods have an empty database."""
    await postgres_server.create_service_database(SERVICE, PASSWORD)
    yield Kubelet(tmp_path, postgres_server.service_url(SERVICE, PASSWORD))
    await postgres_server.drop_service_database(SERVICE)


async def test_pods_of_a_new_version_run_when_its_job_has_migrated(cluster: Cluster, kubelet: Kubelet) -> None:
    namespace = cluster.namespace()
    namespace.apply(version("0.1.0", held=False))
    namespace.wait(f"jsonpath={{.status.availableReplicas}}={LEAST}", f"deployment/{SERVICE}")
    old = {one["metadata"]["name"] for one in namespace.pods(SERVICE)}
    namespace.apply(version("0.2.0", held=True))
    await asyncio.to_thread(eventually, lambda: held(namespace, SERVICE) and held(namespace, f"migrate-{SERVICE}"))
    [pod] = held(namespace, SERVICE)
    arguments, settings = kubelet.command(pod["spec"]["initContainers"][0])
    waiting = await begin(*arguments, settings=settings)
    try:
        assert waiting.stdout is not None
        reason = await asyncio.wait_for(waiting.stdout.readline(), PATIENCE)
        assert reason.decode().startswith(f"the database of {SERVICE} lacks souk 0001_store")
        assert {one["metadata"]["name"] for one in namespace.pods(SERVICE)} == {*old, pod["metadata"]["name"]}
        assert namespace.get(f"deployment/{SERVICE}")["status"]["availableReplicas"] == LEAST

        [job] = held(namespace, f"migrate-{SERVICE}")
        arguments, job_settings = kubelet.command(job["spec"]["containers"][0])
        migrated = await run(*arguments, settings=job_settings)
        assert migrated.status == 0, migrated.err
        let_go(namespace, job)
        namespace.wait("condition=complete", f"job/migrate-{SERVICE}--0.2.0")
        assert await asyncio.wait_for(waiting.wait(), PATIENCE) == 0
    finally:
        waiting.kill()
        await waiting.communicate()
    let_go(namespace, pod)
    await asyncio.to_thread(eventually, lambda: held(namespace, SERVICE))
    [last] = held(namespace, SERVICE)
    arguments, settings = kubelet.command(last["spec"]["initContainers"][0])
    assert (await run(*arguments, settings=settings)).status == 0
    let_go(namespace, last)
    namespace.rolled_out(SERVICE)
    assert old.isdisjoint(one["metadata"]["name"] for one in namespace.pods(SERVICE))
    namespace.remove()
