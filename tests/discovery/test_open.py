"""Which registry an URL means, and what is said when it means none."""

import sys
import tempfile
from pathlib import Path

import pytest

from souk.discovery.embedded.server import LONGEST_PATH, serving_registry
from souk.discovery.open import open_registry
from souk.discovery.registry import Instance
from souk.kernel.clock import SystemClock
from souk.kernel.errors import ConfigurationError


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("zookeeper://127.0.0.1", "must begin with one of unix:"),
        ("order", "must begin with one of"),
        ("dns://host:port/d", "is not the URL of a registry"),
        ("unix:", "unix:PATH"),
        ("grpc://", "grpc://host:port"),
    ],
)
async def test_an_url_that_is_wrong(url: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says) as raised:
        await open_registry(url, SystemClock())
    assert "\n" not in str(raised.value)


async def test_the_extra_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "souk.discovery.external.dns", raising=False)
    monkeypatch.setitem(sys.modules, "dns.asyncresolver", None)
    with pytest.raises(ConfigurationError, match=r"install souk-platform\[dns\], which has dns"):
        await open_registry("dns://127.0.0.1/d", SystemClock())


@pytest.mark.parametrize(("scheme", "name"), [("consul", "Consul"), ("eureka", "Eureka")])
async def test_a_registry_of_hosts_and_ports_refuses_a_socket_and_says_what_to_do(scheme: str, name: str) -> None:
    registry = await open_registry(f"{scheme}://127.0.0.1:1", SystemClock())
    try:
        with pytest.raises(ConfigurationError, match=f"{name} holds hosts and ports, .* set SOUK_HOST") as raised:
            await registry.register(Instance("order", "order-1", "unix:/run/souk/order.sock"))
        assert "\n" not in str(raised.value)
        registration = await registry.register(Instance("order", "order-1", "127.0.0.1:1"))
        with pytest.raises(ConfigurationError, match=f"{name} holds hosts and ports"):
            await registration.update(Instance("order", "order-1", "unix:/run/souk/order.sock"))
    finally:
        await registry.close()


async def test_a_path_that_is_too_long_for_a_socket() -> None:
    with pytest.raises(ConfigurationError, match="longer than 100 bytes"):
        async with serving_registry(Path("/tmp") / ("x" * LONGEST_PATH)):
            pass


async def test_a_path_that_grpc_takes_for_two() -> None:
    with pytest.raises(ConfigurationError, match="no comma"):
        async with serving_registry(Path("a,b") / "r.sock"):
            pass


async def test_an_address_where_it_cannot_listen(tmp_path: Path) -> None:
    async with serving_registry("127.0.0.1:0") as registry:
        with pytest.raises(ConfigurationError, match="cannot listen on"):
            async with serving_registry(registry.url.rpartition("@")[2]):
                pass
    with pytest.raises(ConfigurationError, match="cannot listen on"):
        async with serving_registry(tmp_path / "nowhere" / "r.sock"):
            pass


@pytest.mark.parametrize("folder", ["a b", "a#b", "a?b", "a%20b", "ü店"])
async def test_a_socket_in_a_folder_with_an_odd_name(folder: str) -> None:
    with tempfile.TemporaryDirectory() as top:
        where = Path(top) / folder / "r.sock"
        where.parent.mkdir()
        async with serving_registry(where) as registry:
            client = await open_registry(registry.url, SystemClock())
            await client.register(Instance("order", "order-1", "127.0.0.1:1"))
            assert len(registry.instances("order")) == 1
            await client.close()


async def test_only_its_owner_opens_the_socket(tmp_path: Path) -> None:
    where = tmp_path / "r.sock"
    async with serving_registry(where) as registry:
        assert registry.url == f"unix:{where}"
        assert where.stat().st_mode & 0o777 == 0o600
