"""What can be set for Product."""

from collections.abc import Mapping

from souk.kernel.errors import ConfigurationError
from souk.store.read_cache import CacheSettings

NAMES = ("cache_mb",)
"""`cache_mb` is how much of the catalogue a process keeps in memory, in megabytes (1,000,000 octets) of answers as
they are sent: 1 to 4000, by default 32. In memory they take about twice that."""
_MEGABYTE = 1_000_000
_DEFAULT, _MOST = 32, 4_000


def read_settings(values: Mapping[str, str]) -> CacheSettings:
    """The settings of the cache; raises ConfigurationError for a size that is none."""
    text = values.get("cache_mb", str(_DEFAULT))
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= _MOST):
        raise ConfigurationError(f"product: cache_mb must be megabytes, 1 to {_MOST}, not {text!r}")
    return CacheSettings(octets=int(text) * _MEGABYTE)
