"""What the URL of a foreign registry says."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from urllib.parse import SplitResult, parse_qsl, unquote

from souk.kernel.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Options:
    """Where a registry is, and how it is to be used.

    `lease`, `poll` and `settle` are seconds; `settle` is how much longer than a lease a registry that has
    come back may be mistaken about who is there.
    """

    address: str
    path: str
    tls: bool
    user: str
    password: str = field(repr=False)
    lease: float
    poll: float
    settle: float

    @property
    def origin(self) -> str:
        """The beginning of every URL of its API."""
        return f"http{'s' if self.tls else ''}://{self.address}"


_DEFAULTS = {"lease": "10", "settle": "0", "tls": "false"}


def options_of(url: SplitResult, port: int, path: str = "", defaults: Mapping[str, str] | None = None) -> Options:
    """Reads `scheme://user:password@host:port/path?lease=10&tls=true`. `port` and `path` are the defaults, and
    `defaults` those of an adapter that has other options, or has them otherwise.

    Raises ConfigurationError for a host that is missing, an option that nobody knows, and a value that is none.
    """
    if not url.hostname:
        raise ConfigurationError(f"the registry's URL must be {url.scheme}://host:port")
    given = _given(url, {**_DEFAULTS, **(defaults or {})})
    host = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
    return Options(
        address=f"{host}:{url.port or port}",
        path=url.path.rstrip("/") or path,
        tls=_flag(given),
        user=unquote(url.username or ""),
        password=unquote(url.password or ""),
        lease=_seconds("lease", given, 0.1),
        poll=_seconds("poll", given, 0.1) if "poll" in given else 0.0,
        settle=_seconds("settle", given, 0.0),
    )


def _given(url: SplitResult, known: Mapping[str, str]) -> Mapping[str, str]:
    given = dict(parse_qsl(url.query, keep_blank_values=True))
    for name in sorted(given.keys() - known.keys()):
        near = get_close_matches(name, known, 1) or sorted(known)
        raise ConfigurationError(f"the registry's URL has no option {name!r}; there is {', '.join(near)}")
    return {**known, **given}


def _flag(given: Mapping[str, str]) -> bool:
    if given["tls"] not in ("true", "false"):
        raise ConfigurationError(f"the registry's URL: tls must be true or false, not {given['tls']!r}")
    return given["tls"] == "true"


def _seconds(name: str, given: Mapping[str, str], least: float) -> float:
    try:
        seconds = float(given[name])
    except ValueError:
        seconds = -1.0
    if not least <= seconds <= 3_600:
        raise ConfigurationError(f"the registry's URL: {name} must be {least:g} to 3600 seconds, not {given[name]!r}")
    return seconds
