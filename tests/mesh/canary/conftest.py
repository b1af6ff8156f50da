"""A mesh with two releases of Payment, for the tests of one module."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from souk.mesh.policy.policy import CanarySplit
from tests.mesh.canary.two_releases import TwoReleases, two_releases


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder whose path is short enough for sockets in it."""
    with tempfile.TemporaryDirectory(prefix="mesh-") as made:
        yield Path(made)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def releases(folder: Path) -> AsyncIterator[TwoReleases]:
    async with two_releases(folder) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def mesh(releases: TwoReleases) -> AsyncIterator[TwoReleases]:
    """The mesh with the version v2, which gets no calls until a test says so."""
    releases.plane.split("payment", CanarySplit("v2"))
    await releases.join_new()
    yield releases
    releases.plane.split("payment", None)
    for one in releases.apps.values():
        one.arrived.clear()
        one.ends = lambda path: None
    await releases.leave_new()
