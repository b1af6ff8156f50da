"""Reads the URL of an external registry."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from souk.kernel.errors import ConfigurationError
from souk.kernel.suggest import nearest


@dataclass(frozen=True, slots=True)
class UrlOptions:
    """The addresses of a registry, and how to use it.

    `addresses` are host:port, of one server or of the members of a cluster. `lease`, `poll` and `settle` are in
    seconds; `settle` is how much longer than a lease a registry that has come back may list wrong instances.
    `ca`, `cert` and `key` are paths of PEM files: the authority of the registry's certificate, if it is not a
    public one, and the client's own certificate with its key.
    """

    addresses: tuple[str, ...]
    path: str
    tls: bool
    ca: str
    cert: str
    key: str
    user: str
    password: str = field(repr=False)
    lease: float
    poll: float
    settle: float

    @property
    def origins(self) -> tuple[str, ...]:
        """The scheme, host and port of the API's URLs, for each address."""
        return tuple(f"http{'s' if self.tls else ''}://{address}" for address in self.addresses)


_FILES = ("ca", "cert", "key")
_DEFAULTS = {"lease": "10", "settle": "0", "tls": "false", **dict.fromkeys(_FILES, "")}


def hosts_of(url: SplitResult) -> list[tuple[str, int | None]]:
    """Returns the hosts of an URL, separated by commas, and their ports. Raises ValueError for an invalid port."""
    hosts = [urlsplit(f"//{host}") for host in url.netloc.rpartition("@")[2].split(",")]
    return [(host.hostname or "", host.port) for host in hosts]


def options_of(url: SplitResult, port: int, path: str = "", defaults: Mapping[str, str] | None = None) -> UrlOptions:
    """Reads `scheme://user:password@host:port,host:port/path?lease=10&tls=true`. `port` and `path` are the
    defaults, and `defaults` are those of an adapter that has more options, or other values for them.

    Raises ConfigurationError for a missing host, an unknown option, and an invalid value.
    """
    hosts = hosts_of(url)
    if not all(host for host, _ in hosts):
        raise ConfigurationError(f"the registry's URL must be {url.scheme}://host:port")
    given = _given(url, {**_DEFAULTS, **(defaults or {})})
    tls = _flag(given)
    ca, cert, key = _files(given, tls)
    return UrlOptions(
        addresses=tuple(f"[{host}]:{own or port}" if ":" in host else f"{host}:{own or port}" for host, own in hosts),
        path=url.path.rstrip("/") or path,
        tls=tls,
        ca=ca,
        cert=cert,
        key=key,
        user=unquote(url.username or ""),
        password=unquote(url.password or ""),
        lease=_seconds("lease", given, 0.1),
        poll=_seconds("poll", given, 0.1) if "poll" in given else 0.0,
        settle=_seconds("settle", given, 0.0),
    )


def _given(url: SplitResult, known: Mapping[str, str]) -> Mapping[str, str]:
    given = dict(parse_qsl(url.query, keep_blank_values=True))
    for name in sorted(given.keys() - known.keys()):
        near = nearest(name, known) or ", ".join(sorted(known))
        raise ConfigurationError(f"the registry's URL has no option {name!r}; there is {near}")
    return {**known, **given}


def _flag(given: Mapping[str, str]) -> bool:
    if given["tls"] not in ("true", "false"):
        raise ConfigurationError(f"the registry's URL: tls must be true or false, not {given['tls']!r}")
    return given["tls"] == "true"


def _files(given: Mapping[str, str], tls: bool) -> tuple[str, str, str]:
    ca, cert, key = (given[name] for name in _FILES)
    if (ca or cert or key) and not tls:
        raise ConfigurationError("the registry's URL: ca, cert and key mean nothing without tls=true")
    if key and not cert:
        raise ConfigurationError("the registry's URL: key needs cert, the certificate that it belongs to")
    return ca, cert, key


def _seconds(name: str, given: Mapping[str, str], least: float) -> float:
    try:
        seconds = float(given[name])
    except ValueError:
        seconds = -1.0
    if not least <= seconds <= 3_600:
        raise ConfigurationError(f"the registry's URL: {name} must be {least:g} to 3600 seconds, not {given[name]!r}")
    return seconds
