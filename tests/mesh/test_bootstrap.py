"""The bootstrap says who a sidecar is and where its control plane is, and nothing else."""

import json
import sys
from pathlib import Path

import pytest

from souk.kernel.errors import ConfigurationError
from souk.mesh.envoy.bootstrap import CONTROL_PLANE, TOKEN, Sidecar, bootstrap, find_envoy, write_bootstrap

SIDECAR = Sidecar("payment-1", "payment", "the-token", Path("/run/xds.sock"), Path("/run/admin.sock"), {"zone": "west"})


def test_a_bootstrap() -> None:
    made = bootstrap(SIDECAR)
    assert made["node"] == {"id": "payment-1", "cluster": "payment", "metadata": {"zone": "west"}}
    assert made["admin"]["address"]["pipe"] == {"path": "/run/admin.sock", "mode": 0o600}
    ads = made["dynamic_resources"]["ads_config"]
    assert ads["api_type"] == "DELTA_GRPC"
    assert ads["grpc_services"][0]["initial_metadata"] == [{"key": TOKEN, "value": "the-token"}]
    assert [each["name"] for each in made["static_resources"]["clusters"]] == [CONTROL_PLANE]
    assert set(made) == {"node", "admin", "dynamic_resources", "static_resources", "overload_manager"}


def test_only_its_owner_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "bootstrap.json"
    write_bootstrap(path, SIDECAR)
    assert oct(path.stat().st_mode & 0o777) == "0o600"
    assert json.loads(path.read_text()) == bootstrap(SIDECAR)
    assert "the-token" not in repr(SIDECAR)


def test_a_socket_whose_path_is_too_long_is_one_line() -> None:
    with pytest.raises(ConfigurationError, match="choose a shorter data directory"):
        bootstrap(Sidecar("payment-1", "payment", "t", Path("/" + "x" * 110), Path("/run/admin.sock")))


def test_a_missing_envoy_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_envoy().exists()
    monkeypatch.setitem(sys.modules, "envoy", None)
    with pytest.raises(ConfigurationError, match="pip install"):
        find_envoy()
