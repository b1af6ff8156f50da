"""The URL of a foreign registry, and what is wrong with one."""

from urllib.parse import urlsplit

import pytest

from souk.discovery.open import open_registry
from souk.discovery.options import Options, options_of
from souk.kernel.clock import SystemClock
from souk.kernel.errors import ConfigurationError


def of(url: str) -> Options:
    return options_of(urlsplit(url), 8500, "/base")


def test_defaults() -> None:
    options = of("consul://10.0.0.1")
    assert (options.origin, options.path, options.lease, options.user) == ("http://10.0.0.1:8500", "/base", 10.0, "")


def test_everything_can_be_said() -> None:
    options = of("consul://me:a%2Fb@[::1]:81/x/?lease=2.5&tls=true")
    assert (options.origin, options.path, options.lease) == ("https://[::1]:81", "/x", 2.5)
    assert (options.user, options.password) == ("me", "a/b")
    assert "a/b" not in repr(options)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("consul:///path", "must be consul://host:port"),
        ("consul://h?leese=3", "no option 'leese'; there is lease"),
        ("consul://h?poll=3", "no option 'poll'; there is lease, settle, tls"),
        ("etcd://h?lease=soon", "lease must be 0.1 to 3600 seconds, not 'soon'"),
        ("eureka://h?lease=0", "lease must be"),
        ("eureka://h?poll=nan", "poll must be 0.1 to 3600 seconds"),
        ("consul://h?settle=-1", "settle must be 0 to 3600"),
        ("etcd://h?tls=yes", "tls must be true or false"),
    ],
)
async def test_what_is_wrong_is_said(url: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        await open_registry(url, SystemClock())
