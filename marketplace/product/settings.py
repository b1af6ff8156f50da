"""The settings of Product."""

from collections.abc import Mapping
from dataclasses import dataclass

from souk.sdk import CacheSettings, ConfigurationError, Setting, whole_number

SETTINGS = (
    Setting(
        "cache_mb",
        "How much of the catalogue a process keeps in memory, as it is sent; in memory it takes about twice that.",
        "32",
        "megabytes",
    ),
)
_MEGABYTE = 1_000_000
_DEFAULT, _MOST = 32, 4_000


@dataclass(frozen=True, slots=True)
class ProductSettings:
    """The settings of the service, read once."""

    cache: CacheSettings


def read_settings(values: Mapping[str, str]) -> ProductSettings:
    """Reads the settings; raises ConfigurationError for an invalid size."""
    text = values.get("cache_mb", str(_DEFAULT))
    megabytes = whole_number(text, _MOST)
    if not megabytes:
        raise ConfigurationError(f"product: cache_mb must be megabytes, 1 to {_MOST}, not {text[:20]!r}")
    return ProductSettings(cache=CacheSettings(octets=megabytes * _MEGABYTE))
