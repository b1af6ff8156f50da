"""The URL of a foreign registry, and what is wrong with one."""

from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography.hazmat.primitives import serialization

from souk.discovery.external.url_options import UrlOptions, options_of
from souk.discovery.open import open_registry
from souk.kernel.clock import SystemClock
from souk.kernel.errors import ConfigurationError
from souk.testing.certificates import Authority


def of(url: str) -> UrlOptions:
    return options_of(urlsplit(url), 8500, "/base")


def test_defaults() -> None:
    options = of("consul://10.0.0.1")
    assert (options.origins, options.path, options.lease, options.user) == (
        ("http://10.0.0.1:8500",),
        "/base",
        10.0,
        "",
    )


def test_everything_can_be_said() -> None:
    options = of("consul://me:a%2Fb@[::1]:81/x/?lease=2.5&tls=true&ca=/ca.pem&cert=/own.pem&key=%2Fkey.pem")
    assert (options.origins, options.path, options.lease) == (("https://[::1]:81",), "/x", 2.5)
    assert (options.ca, options.cert, options.key) == ("/ca.pem", "/own.pem", "/key.pem")
    assert (options.user, options.password) == ("me", "a/b")
    assert "a/b" not in repr(options)


def test_several_addresses() -> None:
    options = of("etcd://me:a%2Cb@10.0.0.1:1,host,[::1]:3/x")
    assert options.addresses == ("10.0.0.1:1", "host:8500", "[::1]:3")
    assert options.password == "a,b"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("consul:///path", "must be consul://host:port"),
        ("consul://h?leese=3", "no option 'leese'; there is lease"),
        ("consul://h?poll=3", "no option 'poll'; there is ca, cert, key, lease, settle, tls"),
        ("etcd://h?lease=soon", "lease must be 0.1 to 3600 seconds, not 'soon'"),
        ("eureka://h?lease=0", "lease must be"),
        ("eureka://h?poll=nan", "poll must be 0.1 to 3600 seconds"),
        ("consul://h?settle=-1", "settle must be 0 to 3600"),
        ("etcd://h?tls=yes", "tls must be true or false"),
        ("etcd://a:1,,b:2", "must be etcd://host:port"),
        ("etcd://a:1,b:x", "is not the URL of a registry"),
        ("consul://a:1,b:2", "a registry at consul: has one address, and its URL names 2"),
        ("grpc://a:1,b:2", "a registry at grpc: has one address"),
        ("dns://a:1,b:2/d", "a registry at dns: has one address"),
        ("consul://h?ca=/ca.pem", "ca, cert and key mean nothing without tls=true"),
        ("etcd://h?tls=true&key=/key.pem", "key needs cert"),
        ("etcd://h?tls=true&ca=/nowhere/ca.pem", "ca, /nowhere/ca.pem, cannot be used: No such file or directory"),
        ("etcd://h?tls=true&cert=/nowhere/c.pem", "cert, /nowhere/c.pem, which has to hold its key"),
    ],
)
async def test_what_is_wrong_is_said(url: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        await open_registry(url, SystemClock())


@pytest.mark.parametrize(
    "url", ["etcd://me:s3cr/et@h:1", "grpc://:s3cr/et@h", "nothing://me:s3cr-et@h", "etcd://me:s3cr-et@h:x"]
)
async def test_no_password_is_shown_of_an_url_that_is_none(url: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        await open_registry(url, SystemClock())
    assert "s3cr" not in str(raised.value)
    assert raised.value.__cause__ is None


async def test_a_file_that_is_no_certificate(tmp_path: Path) -> None:
    odd = tmp_path / "odd.pem"
    odd.write_text("no PEM")
    for name in ("ca", "cert"):
        with pytest.raises(ConfigurationError, match=f"{name}, {odd}, .*cannot be used: it is no PEM that fits"):
            await open_registry(f"etcd://h?tls=true&{name}={odd}", SystemClock())


async def test_a_key_with_a_password_is_refused_and_not_asked_for(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    cert, key = authority.issue("own")
    found = serialization.load_pem_private_key(key.read_bytes(), None)
    form, kept = serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"hello")
    key.write_bytes(found.private_bytes(serialization.Encoding.PEM, form, kept))
    with pytest.raises(ConfigurationError, match=r"and key, .*, cannot be used"):
        await open_registry(f"etcd://h?tls=true&ca={authority.ca}&cert={cert}&key={key}", SystemClock())
