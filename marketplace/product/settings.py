"""The settings of Product."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from souk.sdk import CacheSettings, ConfigurationError, Setting, whole_number

SETTINGS = (
    Setting(
        "cache_mb",
        "How much of the catalogue a process keeps in memory, as it is sent; in memory it takes about twice that.",
        "32",
        "megabytes",
    ),
    Setting(
        "synonyms",
        "A file of synonyms for the search engine, in Solr's format; a line reads `sofa, couch` or `tv => television`.",
        "none",
        "path",
    ),
)
_MEGABYTE = 1_000_000
_DEFAULT, _MOST = 32, 4_000


@dataclass(frozen=True, slots=True)
class ProductSettings:
    """The settings of the service, read once."""

    cache: CacheSettings
    synonyms: tuple[str, ...] = ()


def read_settings(values: Mapping[str, str]) -> ProductSettings:
    """Reads the settings; raises ConfigurationError for an invalid size, and a file that cannot be read."""
    text = values.get("cache_mb", str(_DEFAULT))
    megabytes = whole_number(text, _MOST)
    if not megabytes:
        raise ConfigurationError(f"product: cache_mb must be megabytes, 1 to {_MOST}, not {text[:20]!r}")
    return ProductSettings(CacheSettings(octets=megabytes * _MEGABYTE), _synonyms(values.get("synonyms", "")))


def _synonyms(file: str) -> tuple[str, ...]:
    if not file:
        return ()
    try:
        lines = Path(file).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"product: the file of synonyms cannot be read: {error}") from error
    return tuple(line.strip() for line in lines if line.strip() and not line.startswith("#"))
