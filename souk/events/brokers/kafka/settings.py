"""The URL of a Kafka cluster, and the settings in it.

kafka://user:password@host:9092,host:9092?tls=true&ca=ca.pem&mechanism=SCRAM-SHA-512&partitions=12&replicas=3
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from souk.discovery.external.url_options import hosts_of
from souk.events.key_lanes import LaneSettings
from souk.kernel.errors import ConfigurationError
from souk.kernel.suggest import nearest

PARTITIONS = 12
"""The partitions of a topic that `declare` makes: the most consumers of a group that can share its events.

It divides evenly among 1, 2, 3, 4, 6 and 12 consumers. Within one consumer keys do not wait for each other, so a
partition costs without giving more: each is a log to append to, to fsync and to recover. With 64 partitions and an
fsync for each append, a broker on one machine stored a quarter of the events that it stores with 12. The number is
never changed afterwards, because keys would move to other partitions and lose their order.
"""

SILENT = logging.Logger("librdkafka", logging.CRITICAL + 1)
"""The logger of every client: what it would write to stderr comes as an error, too, and is logged there."""

_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
_DEFAULTS = {
    "tls": "false",
    "ca": "",
    "cert": "",
    "key": "",
    "mechanism": "SCRAM-SHA-512",
    "partitions": str(PARTITIONS),
    "replicas": "0",
    "fsync": "true",
}


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """How to reach a cluster, and how `declare` makes topics in it.

    `servers` are host:port, separated by commas. `ca`, `cert` and `key` are paths of PEM files. `replicas` is how
    often an event is kept; 0 stands for 3 in a cluster of three brokers or more, and for 1 in a smaller one. With
    `fsync`, a topic of one replica has each append written to disk before the broker answers. `patience` is the
    longest that a call waits for the broker, in seconds.
    """

    servers: str
    tls: bool = False
    ca: str = ""
    cert: str = ""
    key: str = ""
    user: str = ""
    password: str = field(default="", repr=False)
    mechanism: str = "SCRAM-SHA-512"
    partitions: int = PARTITIONS
    replicas: int = 0
    fsync: bool = True
    patience: float = 10.0
    lanes: LaneSettings = field(default_factory=LaneSettings)

    def client(self) -> dict[str, str | int | bool]:
        """Returns the settings that every client of librdkafka has, by its names."""
        found: dict[str, str | int | bool] = {
            "bootstrap.servers": self.servers,
            "client.id": "souk",
            "security.protocol": ("SASL_" if self.user else "") + ("SSL" if self.tls else "PLAINTEXT"),
            "enable.metrics.push": False,
            # A client that connects to a broker only when it needs one may find none again, until its end, after the
            # broker was away from the cluster for a while: consumers then got nothing, without an error.
            "enable.sparse.connections": False,
            "reconnect.backoff.ms": 50,
            "reconnect.backoff.max.ms": 1_000,
            "socket.timeout.ms": 10_000,
            "socket.connection.setup.timeout.ms": 5_000,
            "socket.nagle.disable": True,
            "topic.metadata.refresh.interval.ms": 10_000,
            "topic.metadata.propagation.max.ms": 2_000,
        }
        files = {"ssl.ca.location": self.ca, "ssl.certificate.location": self.cert, "ssl.key.location": self.key}
        found.update({name: path for name, path in files.items() if path})
        if self.user:
            found |= {"sasl.mechanism": self.mechanism, "sasl.username": self.user, "sasl.password": self.password}
        return found


def settings_of(url: str) -> KafkaSettings:
    """Reads a URL. Raises ConfigurationError for an invalid one; the message quotes nothing that may be a password."""
    try:
        parts = urlsplit(url)
        hosts = hosts_of(parts)
    except ValueError:
        raise ConfigurationError("the broker's URL must be kafka://host:port") from None
    if parts.scheme != "kafka" or not all(host for host, _ in hosts):
        raise ConfigurationError("the broker's URL must be kafka://host:port")
    given = _given(parts)
    return KafkaSettings(
        servers=",".join(
            f"[{host}]:{port or 9092}" if ":" in host else f"{host}:{port or 9092}" for host, port in hosts
        ),
        tls=_flag("tls", given),
        ca=given["ca"],
        cert=given["cert"],
        key=given["key"],
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        mechanism=given["mechanism"],
        partitions=_number("partitions", given, 1, 1_000),
        replicas=_number("replicas", given, 0, 9),
        fsync=_flag("fsync", given),
    )


def _given(url: SplitResult) -> Mapping[str, str]:
    given = dict(parse_qsl(url.query, keep_blank_values=True))
    for name in sorted(given.keys() - _DEFAULTS.keys()):
        near = nearest(name, _DEFAULTS) or ", ".join(sorted(_DEFAULTS))
        raise ConfigurationError(f"the broker's URL has no option {name!r}; there is {near}")
    found = {**_DEFAULTS, **given}
    if found["mechanism"] not in _MECHANISMS:
        raise ConfigurationError(f"the broker's URL: mechanism must be one of {', '.join(_MECHANISMS)}")
    if found["tls"] != "true" and any(found[name] for name in ("ca", "cert", "key")):
        raise ConfigurationError("the broker's URL: ca, cert and key mean nothing without tls=true")
    return found


def _flag(name: str, given: Mapping[str, str]) -> bool:
    if given[name] not in ("true", "false"):
        raise ConfigurationError(f"the broker's URL: {name} must be true or false, not {given[name]!r}")
    return given[name] == "true"


def _number(name: str, given: Mapping[str, str], least: int, most: int) -> int:
    if not given[name].isdecimal() or not least <= int(given[name]) <= most:
        raise ConfigurationError(f"the broker's URL: {name} must be {least} to {most}, not {given[name]!r}")
    return int(given[name])
