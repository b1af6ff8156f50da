"""The one API server of all tests of this folder, and a namespace of its own for each test."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kubernetes.cluster import Cluster, Namespace, acting, running_api


@pytest.fixture(scope="session")
def api() -> Iterator[Cluster]:
    """Runs an API server for the session; skips the tests when its programs are not on this machine."""
    with tempfile.TemporaryDirectory(prefix="souk-kubernetes-") as folder, running_api(Path(folder)) as found:
        yield found


@pytest.fixture(scope="session")
def cluster(api: Cluster) -> Iterator[Cluster]:
    """Has controllers, a scheduler and nodes act on what the API server holds."""
    with acting(api):
        yield api


@pytest.fixture
def namespace(api: Cluster) -> Iterator[Namespace]:
    """An empty namespace for one test."""
    made = api.namespace()
    yield made
    made.remove()
