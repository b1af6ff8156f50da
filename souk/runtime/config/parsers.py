"""Parsers of settings: each makes a value of a text, or raises ValueError, which says what was expected."""

import re
import shlex
from collections.abc import Callable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlsplit

from souk.discovery.external.url_options import hosts_of
from souk.gateway.routing.filters.cors import is_origin
from souk.kernel.addresses import socket_path

POSTGRES_PORT = 5432
SHORTEST_SECRET = 32
BROKERS = ("redis", "rediss", "unix", "kafka", "amqp", "amqps", "sqs")
NO_BROKER = "none"
"""In place of a broker's URL: events are delivered by calls."""
SEARCH_ENGINES = ("opensearch", "opensearchs", "elasticsearch", "elasticsearchs")
"""The kinds of search engines, as the scheme of the engine's URL; an s at its end means TLS."""
REGISTRIES = ("unix", "grpc", "consul", "etcd", "eureka", "dns")
"""The kinds of registries, as the scheme of the registry's URL."""

Network: TypeAlias = IPv4Network | IPv6Network

_ROUTE = re.compile(r"[^/]+/[^/]+")
_TYPE = re.compile(r"\w+(\.\w+)+", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


def flag(text: str) -> bool:
    """Reads true or false."""
    lowered = text.strip().lower()
    if lowered in {"1", "true", "yes", "on"}:
        return True
    if lowered in {"0", "false", "no", "off", ""}:
        return False
    raise ValueError("must be true or false")


def port_number(text: str | int) -> int:
    """Reads a TCP port; 0 lets the system choose. Raises ValueError."""
    if not re.fullmatch(r"[0-9]{1,5}", str(text)) or int(text) > 65_535:
        raise ValueError("must be a port, 0 to 65535")
    return int(text)


def seconds(text: str) -> float:
    """Reads a duration in seconds, to the millisecond."""
    if not re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,3})?", text):
        raise ValueError("must be seconds, as in 2.5")
    return float(text)


def positive_seconds(text: str) -> float:
    """Reads a duration in seconds that is not zero, to the millisecond."""
    if (read := seconds(text)) == 0:
        raise ValueError("must be seconds above 0, as in 2.5")
    return read


def one_of(*choices: str) -> Callable[[str], str]:
    """Makes a parser that takes one of these words."""

    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}")
        return text

    return parse


def pairs(text: str) -> dict[str, str]:
    """Reads `name=value,name=value`. Raises ValueError."""
    found: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = part.partition("=")
        if not (name and equals and value) or name in found:
            raise ValueError("must read name=value,name=value, each name once")
        found[name] = value
    return found


def counts(text: str) -> dict[str, int]:
    """Reads `name=2,name=3`. Raises ValueError."""
    return {name: _count(value) for name, value in pairs(text).items()}


def _count(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,6}", text):
        raise ValueError("must count from 0, as in name=2")
    return int(text)


def commands(text: str) -> dict[str, tuple[str, ...]]:
    """Reads `service=program argument,...`, quoted as in a shell. Raises ValueError."""
    found = {name: tuple(shlex.split(line)) for name, line in pairs(text).items()}
    if not all(words and words[0].strip() for words in found.values()):
        raise ValueError("must read service=program argument,service=program")
    return found


def addresses(text: str) -> dict[str, tuple[str, ...]]:
    """Reads `service=host:port+unix:/path,...`: the addresses of each service's instances."""
    found = {name: tuple(listed.split("+")) for name, listed in pairs(text).items()}
    if not all(_is_address(address) for listed in found.values() for address in listed):
        raise ValueError("must read service=host:port,service=host:port+unix:/path")
    return found


def address(text: str) -> str:
    """Reads `host:port` or `unix:/path`."""
    if not _is_address(text):
        raise ValueError("must read host:port or unix:/path")
    return text


def _is_address(text: str) -> bool:
    host, colon, port = text.rpartition(":")
    return socket_path(text).startswith("/") or bool(host and colon and port_number(port))


def subscriptions(text: str) -> dict[str, tuple[str, ...]]:
    """Reads `service/consumer=type+type,...`: the types of events that consumers not installed here take."""
    found = {route: tuple(types.split("+")) for route, types in pairs(text).items()}
    for route, types in found.items():
        if not _ROUTE.fullmatch(route) or not all(_TYPE.fullmatch(name) for name in types):
            raise ValueError("must read service/consumer=package.Event+package.Event,...")
    return found


def secret(text: str) -> str:
    """Reads a secret of at least SHORTEST_SECRET characters."""
    if len(text) < SHORTEST_SECRET:
        raise ValueError(f"must have at least {SHORTEST_SECRET} characters")
    return text


def from_file(read: Callable[[str], str]) -> Callable[[str], str]:
    """Makes a parser that gives `read` the text or, for `@FILE`, what is in that file, so that no password is shown."""

    def parse(text: str) -> str:
        if not text.startswith("@"):
            return read(text)
        try:
            return read(Path(text[1:]).read_text().strip())
        except (OSError, UnicodeDecodeError):
            raise ValueError("names a file that cannot be read") from None

    return parse


def postgres(text: str) -> str:
    """Reads the URL of a PostgreSQL database; commas separate the hosts of a cluster."""
    expected = "must read postgresql://user:password@host:port/database"
    if not urlsplit(_url(text, ("postgresql", "postgres"), expected, several=True)).path.strip("/"):
        raise ValueError(expected)
    return text


def postgres_server(url: str) -> str:
    """Gives the address of the server in such a URL, or of each in its cluster, without user and password."""
    hosts = [(host, port) for host, port in hosts_of(urlsplit(url)) if host]
    return ", ".join(f"{host}:{port or POSTGRES_PORT}" for host, port in hosts) or "a local socket"


def redis(text: str) -> str:
    """Reads the URL of a Redis or Valkey server."""
    return _url(text, ("redis", "rediss", "unix"), "must read redis://host:port/0 or unix:///path/to/socket")


def broker(text: str) -> str:
    """Reads the URL of a broker, or NO_BROKER; the scheme tells which adapter reads the rest of it."""
    if text == NO_BROKER:
        return text
    kinds = ", ".join(f"{kind}://" for kind in BROKERS)
    expected = f"must begin with one of {kinds} as in kafka://127.0.0.1:9092, or be {NO_BROKER}"
    return _url(text, BROKERS, expected, several=True)


def search(text: str) -> str:
    """Reads the URL of a search engine; the scheme tells which client speaks to it."""
    kinds = ", ".join(f"{kind}://" for kind in SEARCH_ENGINES)
    return _url(text, SEARCH_ENGINES, f"must begin with one of {kinds} as in opensearch://127.0.0.1:9200")


def registry(text: str) -> str:
    """Reads the URL of a registry; the scheme tells which adapter reads the rest of it."""
    kinds = ", ".join(f"{kind}:" for kind in REGISTRIES)
    return _url(text, REGISTRIES, f"must begin with one of {kinds} as in consul://127.0.0.1:8500", several=True)


def _url(text: str, schemes: Sequence[str], expected: str, *, several: bool = False) -> str:
    try:
        url = urlsplit(text)
        well_formed = all(port != 0 for _, port in hosts_of(url)) if several else url.port != 0
    except ValueError:
        raise ValueError(expected) from None
    if not well_formed or url.scheme not in schemes or not (url.netloc or url.path.strip("/")):
        raise ValueError(expected)
    return text


def networks(text: str) -> tuple[Network, ...]:
    """Reads `10.0.0.0/8,2001:db8::/32,192.0.2.7`. Raises ValueError."""
    try:
        return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())
    except ValueError:
        raise ValueError("must read network,network, as in 10.0.0.0/8,2001:db8::/32") from None


def origins(text: str) -> tuple[str, ...]:
    """Reads `https://shop.example.com,https://*.example.com`, or `*`. Raises ValueError."""
    found = tuple(part.strip().lower() for part in text.split(",") if part.strip())
    if not all(is_origin(one) for one in found) or ("*" in found and len(found) > 1):
        raise ValueError("must read origin,origin, as in https://shop.example.com, or be *")
    return found


def names(text: str) -> tuple[str, ...]:
    """Parses names that are separated by commas. Raises ValueError."""
    return tuple(name(one.strip()) for one in text.split(","))


def name(text: str) -> str:
    """Reads a name of at most 63 letters, digits, `.`, `-` and `_`, which begins with a letter or a digit."""
    if not _NAME.fullmatch(text):
        raise ValueError("must be up to 63 letters, digits, '.', '-' or '_'")
    return text


def from_one(most: int) -> Callable[[str], int]:
    """Makes a parser of a whole number from 1 to `most`."""

    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,6}", text) or not 1 <= int(text) <= most:
            raise ValueError(f"must count from 1 to {most}")
        return int(text)

    return parse


def descriptor(text: str) -> int:
    """Reads the number of an open file descriptor that was inherited."""
    if not re.fullmatch(r"[0-9]{1,5}", text):
        raise ValueError("must be the number of an open descriptor")
    return int(text)
