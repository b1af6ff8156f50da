"""A control plane that starts with a wrong policy file has the last one that was in force."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import grpc.aio
import pytest
from click.testing import CliRunner
from soukapi.v1 import mesh_pb2 as pb
from soukapi.v1 import mesh_pb2_grpc

from souk.cli.commands.mesh import status
from souk.kernel.addresses import grpc_target, unix_address
from souk.mesh.operations.last_policy import LAST_POLICY, LastPolicy
from souk.mesh.policy.policy import MeshPolicy
from souk.mesh.policy.reading import MeshPolicyRefused, default_policy
from souk.runtime.data.layout import DataLayout
from souk.testing.processes import run, serving
from tests.mesh.order_and_payment import SERVICES, load_rules

GOOD, BETTER = "services: {payment: {ejection: none}}\n", "services: {payment: {locality: none, ejection: none}}\n"
WRONG = "services: {paymant: {}}\n"


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose path is short enough for sockets in it."""
    with tempfile.TemporaryDirectory(prefix="mesh-") as made:
        yield Path(made)


@asynccontextmanager
async def control_of(data: Path) -> "AsyncIterator[mesh_pb2_grpc.MeshAsyncStub]":
    """Gives the operators' way to the control plane of a data directory."""
    socket = DataLayout(data.resolve()).control_plane
    async with grpc.aio.insecure_channel(grpc_target(unix_address(socket))) as channel:
        yield mesh_pb2_grpc.MeshStub(channel)


def defaults() -> MeshPolicy:
    return default_policy(SERVICES)


def test_the_last_policy_is_used_while_the_file_is_wrong(tmp_path: Path) -> None:
    last, file = LastPolicy(tmp_path), tmp_path / "mesh.yaml"
    file.write_text(GOOD)
    good = last.at_start(file, load_rules, defaults)
    assert (good.file, good.errors) == (file, ())
    file.write_text(WRONG)
    found = last.at_start(file, load_rules, defaults)
    assert (found.policy, found.file) == (good.policy, last.path)
    assert [line.partition(": ")[0] for line in found.errors] == [f"{file}:1:12"]
    file.unlink()
    assert last.at_start(file, load_rules, defaults).policy == good.policy


def test_the_defaults_are_a_last_policy_too(tmp_path: Path) -> None:
    last, file = LastPolicy(tmp_path), tmp_path / "mesh.yaml"
    file.write_text(GOOD)
    last.at_start(file, load_rules, defaults)
    last.at_start(None, load_rules, defaults)
    file.write_text(WRONG)
    assert last.at_start(file, load_rules, defaults).policy == defaults()


@pytest.mark.parametrize("kept", [None, "services: {a service that is no more: {}}\n"])
def test_without_a_last_policy_that_fits_the_file_is_refused(tmp_path: Path, kept: str | None) -> None:
    last, file = LastPolicy(tmp_path), tmp_path / "mesh.yaml"
    if kept is not None:
        last.path.parent.mkdir()
        last.path.write_text(kept)
    file.write_text(WRONG)
    with pytest.raises(MeshPolicyRefused, match="paymant"):
        last.at_start(file, load_rules, defaults)


def test_a_policy_that_cannot_be_kept_is_in_force_all_the_same(tmp_path: Path) -> None:
    last, file = LastPolicy(tmp_path), tmp_path / "mesh.yaml"
    last.path.mkdir(parents=True)
    file.write_text(GOOD)
    assert last.at_start(file, load_rules, defaults).errors == ()


async def test_a_control_plane_starts_with_it_and_says_so(folder: Path) -> None:
    file, data = folder / "mesh.yaml", folder / "data"
    settings = {"SOUK_REGISTRY": f"unix:{folder / 'no-registry'}", "SOUK_MESH_POLICY": str(file)}
    command = ("serve", "mesh", "--data", str(data))
    file.write_text(WRONG)
    refused = await run(*command, settings=settings)
    assert (refused.status, f"{file}:1:12" in refused.err) == (1, True)
    file.write_text(GOOD)
    async with serving(*command, ready=r"^ready mesh (\S+)\n", settings=settings), control_of(data) as operator:
        file.write_text(BETTER)
        assert (await operator.ReloadMeshPolicy(pb.ReloadMeshPolicyRequest())).errors == []
        assert (data / LAST_POLICY).read_text() == BETTER
    file.write_text(WRONG)
    async with serving(*command, ready=r"^ready mesh (\S+)\n", settings=settings), control_of(data) as operator:
        policy = (await operator.GetMeshStatus(pb.GetMeshStatusRequest())).policy
        assert Path(policy.file).resolve() == (data / LAST_POLICY).resolve()
        assert [line.partition(": ")[0] for line in policy.rejected.errors] == [f"{file}:1:12"]
        file.write_text(GOOD)
        await operator.ReloadMeshPolicy(pb.ReloadMeshPolicyRequest())
        policy = (await operator.GetMeshStatus(pb.GetMeshStatusRequest())).policy
        assert (policy.file, policy.HasField("rejected")) == (str(file), False)


async def test_an_operator_sees_about_whom_the_registry_has_not_answered(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = folder / "data"
    settings = {"SOUK_REGISTRY": f"unix:{folder / 'no-registry'}"}
    command = ("serve", "mesh", "--data", str(data))
    async with serving(*command, ready=r"^ready mesh (\S+)\n", settings=settings), control_of(data) as operator:
        found = await operator.GetMeshStatus(pb.GetMeshStatusRequest())
    assert {"inventory", "order", "payment"} < set(found.unanswered)
    monkeypatch.setattr(status, "operate_mesh", lambda *_: found)
    shown = CliRunner().invoke(status.status, [])
    assert f"instances of {', '.join(found.unanswered)} stays as it was" in shown.output
    assert status.status.main([], standalone_mode=False) == status.FAILED
