"""What the URL of a foreign registry says."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from urllib.parse import SplitResult, parse_qsl, unquote

from souk.kernel.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Options:
    """Where a registry is, and how it is to be used. `lease`, `poll` and `cache` are seconds."""

    address: str
    path: str
    tls: bool
    user: str
    password: str = field(repr=False)
    lease: float
    poll: float
    cache: float

    @property
    def origin(self) -> str:
        """The beginning of every URL of its API."""
        return f"http{'s' if self.tls else ''}://{self.address}"


_DEFAULTS = {"lease": "10", "poll": "5", "cache": "30", "tls": "false"}
COMMON = frozenset({"lease", "tls"})


def options_of(url: SplitResult, port: int, path: str = "", known: frozenset[str] = COMMON) -> Options:
    """Reads `scheme://user:password@host:port/path?lease=10&tls=true`. `port` and `path` are the defaults,
    `known` the options that the adapter has.

    Raises ConfigurationError for a host that is missing, an option that nobody knows, and a value that is none.
    """
    if not url.hostname:
        raise ConfigurationError(f"the registry's URL must be {url.scheme}://host:port")
    given = _given(url, known)
    host = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
    return Options(
        address=f"{host}:{url.port or port}",
        path=url.path.rstrip("/") or path,
        tls=_flag(url, given),
        user=unquote(url.username or ""),
        password=unquote(url.password or ""),
        lease=_seconds(url, "lease", given),
        poll=_seconds(url, "poll", given),
        cache=_seconds(url, "cache", given),
    )


def _given(url: SplitResult, known: frozenset[str]) -> Mapping[str, str]:
    given = dict(parse_qsl(url.query, keep_blank_values=True))
    for name in sorted(given.keys() - known):
        near = get_close_matches(name, known, 1) or sorted(known)
        raise ConfigurationError(f"the registry's URL has no option {name!r}; there is {', '.join(near)}")
    return {**_DEFAULTS, **given}


def _flag(url: SplitResult, given: Mapping[str, str]) -> bool:
    if given["tls"] not in ("true", "false"):
        raise ConfigurationError(f"the registry's URL: tls must be true or false, not {given['tls']!r}")
    return given["tls"] == "true"


def _seconds(url: SplitResult, name: str, given: Mapping[str, str]) -> float:
    try:
        seconds = float(given[name])
    except ValueError:
        seconds = 0.0
    if not 0.1 <= seconds <= 3_600:
        raise ConfigurationError(f"the registry's URL: {name} must be 0.1 to 3600 seconds, not {given[name]!r}")
    return seconds
