"""`souk mesh` beside a running control plane: what it prints, and with which exit status it ends."""

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from souk.runtime.data.layout import DataLayout
from souk.testing.processes import Ended, run
from tests.mesh.order_and_payment import TwoSidecars, two_sidecars

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder whose path is short enough for sockets in it."""
    with tempfile.TemporaryDirectory(prefix="mesh-") as made:
        yield Path(made)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mesh(folder: Path) -> AsyncIterator[TwoSidecars]:
    """A mesh in a data directory on which a system seems to run."""
    async with two_sidecars(folder) as found, await listening(folder):
        yield found


async def listening(folder: Path) -> asyncio.Server:
    control = DataLayout(folder).control
    control.parent.mkdir(exist_ok=True)
    return await asyncio.start_unix_server(lambda reader, writer: writer.close(), control)


async def souk_mesh(folder: Path, *arguments: str) -> Ended:
    return await run("mesh", *arguments, "--data", str(folder))


async def test_status_shows_each_sidecar_and_what_is_trusted(mesh: TwoSidecars, folder: Path) -> None:
    found = await souk_mesh(folder, "status")
    assert (found.status, found.err) == (0, "")
    lines = found.out.splitlines()
    assert [line.split()[:2] for line in lines[1:3]] == [["order-1", "connected"], ["payment-1", "connected"]]
    assert "routes" in lines[1]
    assert "expires in" in lines[2]
    assert any(line.startswith("trust domain souk.local: one root is trusted") for line in lines)
    document = json.loads((await souk_mesh(folder, "status", "--json")).out)
    assert [one["instance"] for one in document["sidecars"]] == ["order-1", "payment-1"]
    assert document["sidecars"][0]["rejected"] == []
    assert document["policy"]["revision"] == mesh.plane.policy.revision


async def test_a_policy_is_taken_or_all_that_is_wrong_with_it_is_told(mesh: TwoSidecars, folder: Path) -> None:
    (folder / "mesh.yaml").write_text("defaults: {timeout: soon}\nservices: {paymant: {}}\n")
    wrong = await souk_mesh(folder, "reload")
    assert (wrong.status, wrong.out) == (1, "")
    assert [line.partition("mesh.yaml:")[2][:1] for line in wrong.err.splitlines()] == ["1", "2", ""]
    shown = await souk_mesh(folder, "status")
    assert shown.status == 1
    assert "rejected: its file" in shown.out
    (folder / "mesh.yaml").write_text("services: {payment: {ejection: none}}\n")
    right = await souk_mesh(folder, "reload")
    assert (right.status, right.err) == (0, "")
    assert "2 sidecars have taken" in right.out
    assert "already" in (await souk_mesh(folder, "reload")).out
    assert (await souk_mesh(folder, "status")).status == 0


async def test_a_workload_is_refused_and_admitted(mesh: TwoSidecars, folder: Path) -> None:
    refused = await souk_mesh(folder, "refuse", "payment/payment-1", "--why", "its host is lost")
    assert (refused.status, refused.err) == (0, "")
    shown = await souk_mesh(folder, "status")
    assert "payment-1: its host is lost" in shown.out
    assert shown.status == 0  # it is as an operator wanted it
    typo = await souk_mesh(folder, "refuse", "paymet", "--why", "x")
    assert (typo.status, "the nearest is 'payment'" in typo.err) == (1, True)
    assert (await souk_mesh(folder, "admit", "payment/payment-1")).status == 0
    assert "its host is lost" not in (await souk_mesh(folder, "status")).out


async def test_a_root_is_rotated(mesh: TwoSidecars, folder: Path) -> None:
    assert "has begun" in (await souk_mesh(folder, "rotate-root")).out
    again = await souk_mesh(folder, "rotate-root")
    assert (again.status, "under way" in again.err) == (1, True)


async def test_without_a_system_or_a_mesh_one_line_says_what_to_do(tmp_path: Path) -> None:
    nothing = await souk_mesh(tmp_path, "status")
    assert (nothing.status, len(nothing.err.splitlines())) == (1, 1)
    assert "no system runs on" in nothing.err
    assert "`souk up --topology fleet --mesh --data" in nothing.err
    with tempfile.TemporaryDirectory(prefix="mesh-") as made:
        async with await listening(Path(made)):
            without = await souk_mesh(Path(made), "reload")
            assert (without.status, len(without.err.splitlines())) == (1, 1)
            assert "souk up --topology fleet --mesh" in without.err
            DataLayout(Path(made)).control_plane.touch()
            starting = await souk_mesh(Path(made), "reload")
            assert "starting" in starting.err
