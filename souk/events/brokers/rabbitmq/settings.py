"""The URL of a RabbitMQ broker, and the settings in it.

amqps://user:password@host:5671/vhost?heartbeat=10&ca=ca.pem&cert=client.pem&key=client.key
"""

from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from souk.kernel.errors import ConfigurationError
from souk.kernel.suggest import nearest

HEARTBEAT = 10
"""Seconds without a sign of life after which a side may give up a connection, unless the URL says another."""

_FILES = {"ca": "cafile", "cert": "certfile", "key": "keyfile"}
"""The options that are paths of PEM files, by the client's names."""


@dataclass(frozen=True, slots=True)
class RabbitSettings:
    """How to reach a broker.

    `client_url` is the URL with the options that the client knows, and `server` is host and port, for messages.
    The broker gives a consumer's events to another one after two to three times `heartbeat` seconds without a sign
    of life. `patience` is the longest that a call waits for the broker, in seconds.
    """

    client_url: str = field(repr=False)
    server: str
    heartbeat: int = HEARTBEAT
    patience: float = 10.0


def settings_of(url: str) -> RabbitSettings:
    """Reads a URL. Raises ConfigurationError for an invalid one; the message quotes nothing that may be a password."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or parts.scheme not in ("amqp", "amqps"):
        raise ConfigurationError("the broker's URL must be amqp://host:port or amqps://host:port")
    secure = parts.scheme == "amqps"
    options = _options(parts.query, secure)
    heartbeat = options.pop("heartbeat", str(HEARTBEAT))
    if not heartbeat.isdecimal() or not 1 <= int(heartbeat) <= 60:
        raise ConfigurationError(f"the broker's URL: heartbeat must be 1 to 60 seconds, not {heartbeat[:20]!r}")
    known = {"heartbeat": heartbeat, "name": "souk", **{_FILES[name]: path for name, path in options.items()}}
    shown = f"[{host}]" if ":" in host else host
    return RabbitSettings(
        client_url=urlunsplit(parts._replace(query=urlencode(known), fragment="")),
        server=f"{shown}:{port or (5671 if secure else 5672)}",
        heartbeat=int(heartbeat),
    )


def _options(query: str, secure: bool) -> dict[str, str]:
    options = dict(parse_qsl(query, keep_blank_values=True))
    names = ("heartbeat", *_FILES)
    for name in sorted(options.keys() - set(names)):
        near = nearest(name, names) or ", ".join(names)
        raise ConfigurationError(f"the broker's URL has no option {name[:50]!r}; there is {near}")
    if not secure and options.keys() & _FILES.keys():
        raise ConfigurationError("the broker's URL: ca, cert and key mean nothing without amqps:")
    return options
