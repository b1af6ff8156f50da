"""The URL of SQS, and the settings in it.

sqs:///?region=eu-west-1&prefix=shop-                AWS: SQS with SNS
sqs://key:secret@host:port?tls=true&sns=host:port    a server of the same API; without `sns` it has none
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from re import fullmatch
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from souk.kernel.errors import ConfigurationError
from souk.kernel.suggest import nearest

VISIBILITY = 30
"""Seconds after which what a consumer that died had in hand goes to another one, unless the URL says another."""
WAIT = 2
"""Seconds for which a request for messages waits at the server, unless the URL says another. A consumer that ends
waits for its last one, because the server may give messages to a request that nobody waits for."""

_DEFAULTS = {
    "region": "",
    "prefix": "",
    "sns": "",
    "tls": "false",
    "visibility": str(VISIBILITY),
    "wait": str(WAIT),
}
_NO_AWS = "the broker's URL: {} means nothing at AWS, which is sqs:/// without a host"


@dataclass(frozen=True, slots=True)
class SqsSettings:
    """How to reach SQS. `endpoint` and `sns` are the servers' URLs; both are empty at AWS.

    Without `key` the credentials are those that AWS's own clients find: variables, files, or the machine's role. Names
    of queues and topics begin with `prefix`. `visibility` and `wait` are in seconds, and so is `patience`, the longest
    that a call waits for the broker.
    """

    endpoint: str = ""
    sns: str = ""
    region: str = ""
    key: str = ""
    secret: str = field(default="", repr=False)
    prefix: str = ""
    visibility: int = VISIBILITY
    wait: int = WAIT
    patience: float = 10.0

    @property
    def has_sns(self) -> bool:
        """Whether a topic is one of SNS, which hands each event to the queues."""
        return bool(self.sns) or not self.endpoint

    @property
    def server(self) -> str:
        """What messages call the broker."""
        return f"SQS at {self.endpoint.partition('//')[2] or 'AWS'}"


def settings_of(url: str) -> SqsSettings:
    """Reads a URL. Raises ConfigurationError for an invalid one; the message quotes nothing that may be a secret."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise _invalid() from None
    if parts.scheme != "sqs" or parts.path not in ("", "/") or bool(parts.username) != bool(parts.password):
        raise _invalid()
    given = _given(parts, at_aws=not host)
    scheme = "https" if given["tls"] == "true" else "http"
    found = SqsSettings(
        endpoint=_endpoint(scheme, host, port) if host else "",
        sns=f"{scheme}://{given['sns']}" if given["sns"] else "",
        region=given["region"],
        key=unquote(parts.username or ""),
        secret=unquote(parts.password or ""),
        prefix=given["prefix"],
        visibility=_number("visibility", given, 2, 3_600),
        wait=_number("wait", given, 1, 20),
    )
    if 2 * found.wait > found.visibility:
        raise ConfigurationError("the broker's URL: wait must be at most half of visibility")
    return found


def _invalid() -> ConfigurationError:
    return ConfigurationError(
        "the broker's URL must be sqs:///?region=eu-west-1 for AWS, or sqs://host:port, with key:secret@ or without"
    )


def _endpoint(scheme: str, host: str, port: int | None) -> str:
    shown = f"[{host}]" if ":" in host else host
    return f"{scheme}://{shown}:{port}" if port else f"{scheme}://{shown}"


def _given(url: SplitResult, *, at_aws: bool) -> Mapping[str, str]:
    given = dict(parse_qsl(url.query, keep_blank_values=True))
    for name in sorted(given.keys() - _DEFAULTS.keys()):
        near = nearest(name, _DEFAULTS) or ", ".join(sorted(_DEFAULTS))
        raise ConfigurationError(f"the broker's URL has no option {name[:50]!r}; there is {near}")
    for name in ("sns", "tls"):
        if at_aws and name in given:
            raise ConfigurationError(_NO_AWS.format(name))
    found = {**_DEFAULTS, **given}
    if found["tls"] not in ("true", "false"):
        raise ConfigurationError(f"the broker's URL: tls must be true or false, not {found['tls'][:20]!r}")
    if not fullmatch(r"[A-Za-z0-9-]{0,20}", found["prefix"]):
        raise ConfigurationError("the broker's URL: prefix must be at most 20 letters, digits and hyphens")
    return found


def _number(name: str, given: Mapping[str, str], least: int, most: int) -> int:
    if not given[name].isdecimal() or not least <= int(given[name]) <= most:
        raise ConfigurationError(
            f"the broker's URL: {name} must be {least} to {most} seconds, not {given[name][:20]!r}"
        )
    return int(given[name])
