"""The settings of Notification, read once from text."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parseaddr
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from marketplace.notification.domain import Sender
from souk.sdk import ConfigurationError, Setting, from_file, whole_number

_FORM = "smtp://user:password@host:587?starttls or smtps://user:password@host:465"
_TLS = {"smtp": {"": "", "starttls": "starttls"}, "smtps": {"": "tls"}}
"""The encryption by the URL's scheme and query."""
_PORTS = {("smtp", ""): 25, ("smtp", "starttls"): 587, ("smtps", "tls"): 465}
_LONGEST = 600.0
RATE = 6_000
"""More than a buyer's orders can cause, and less than a mistake that sends mails in a loop."""

SETTINGS = (
    Setting(
        "smtp",
        f"The mail server, as in {_FORM}; @FILE reads it from a file.",
        "none: mails are files in the mailbox folder, which `souk mail` shows",
        "URL",
    ),
    Setting("smtp_ca", "The certificate authorities of the mail server, as PEM.", "those of this machine", "path"),
    Setting("smtp_timeout", "How long the mail server may take to accept a login, or a mail.", "30", "seconds"),
    Setting(
        "public_url",
        "Where readers reach the gateway, as in https://shop.example; mails then have a link that unsubscribes.",
        "none: mails have no such link",
        "URL",
    ),
    Setting("rate", "How many mails a reader gets in a minute; further ones wait.", str(RATE), "mails"),
    Setting(
        "sms",
        "The provider of text messages, with Twilio's API, as in https://ACCOUNT:TOKEN@api.twilio.com; @FILE reads it "
        "from a file.",
        "none: no text messages",
        "URL",
    ),
    Setting("sms_sender", "The number, or the name, that text messages come from.", "none", "number"),
    Setting(
        "push_key",
        "The private key of messages to browsers (VAPID): P-256, as PEM, such as `openssl ecparam -name prime256v1 "
        "-genkey -noout` makes; @FILE reads it from a file.",
        "none: no messages to browsers",
        "PEM",
    ),
    Setting("push_contact", "Where push services reach you.", "mailto: and the sender's address", "mailto: or https:"),
    Setting("push_services", "The hosts of push services that are called.", "those of browsers", "host,*.host"),
    Setting("sender", "Who mails are from; bounces go there as well.", "Souk <orders@souk.invalid>", "name <address>"),
)


@dataclass(frozen=True, slots=True)
class SmtpSettings:
    """A mail server. `tls` is the encryption: "" for none, "starttls", or "tls" from the first byte.

    `user` is empty when no login is made. `ca` is a file with the authorities that are trusted, None for those of the
    machine. `timeout` is in seconds; it limits the login and each mail, each by itself.
    """

    host: str
    port: int
    tls: str = ""
    user: str = ""
    password: str = field(default="", repr=False)
    ca: Path | None = None
    timeout: float = 30.0


@dataclass(frozen=True, slots=True)
class SmsSettings:
    """A provider of text messages with Twilio's API: its address, our account and its token, and our number."""

    account: str
    token: str = field(repr=False)
    sender: str
    url: str = "https://api.twilio.com"
    timeout: float = 8.0


@dataclass(frozen=True, slots=True)
class PushSettings:
    """Messages to browsers: the private key as PEM, where push services reach the sender, and their hosts.

    "*." in a host stands for one name before it. No hosts are those of browsers.
    """

    key: str = field(repr=False)
    contact: str
    services: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NotificationSettings:
    """The settings of the service, read once.

    `smtp` is None when mails go into the mailbox folder, `sms` when no text messages are sent, and `push` when no
    messages go to browsers. `public_url` is the gateway's, without a slash at its end, or empty. `rate` is the most
    mails to a reader a minute.
    """

    smtp: SmtpSettings | None
    sender: Sender
    public_url: str
    rate: int
    sms: SmsSettings | None
    push: PushSettings | None


def read_settings(values: Mapping[str, str]) -> NotificationSettings:
    """Reads the settings; raises ConfigurationError, in one line without a password, for an invalid value."""
    sender = _sender(values["sender"]) if "sender" in values else Sender()
    return NotificationSettings(
        smtp=_smtp(values),
        sender=sender,
        public_url=_public_url(values.get("public_url", "")),
        rate=_rate(values),
        sms=_sms(values),
        push=_push(values, sender),
    )


def _push(values: Mapping[str, str], sender: Sender) -> PushSettings | None:
    if not values.get("push_key"):
        return None
    contact = values.get("push_contact", f"mailto:{sender.address}")
    if not re.fullmatch(rf"mailto:{Sender.ADDRESS}|https://[A-Za-z0-9.-]+(/\S*)?", contact):
        raise ConfigurationError("notification: push_contact must read mailto:address@domain or https://host")
    hosts = tuple(host.strip() for host in values.get("push_services", "").split(",") if host.strip())
    if not all(re.fullmatch(r"(\*\.)?[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*", host) for host in hosts):
        raise ConfigurationError("notification: push_services must be hosts, as in push.example,*.push.example")
    return PushSettings(_text("push_key", values["push_key"]), contact, hosts)


def _sms(values: Mapping[str, str]) -> SmsSettings | None:
    if not values.get("sms"):
        return None
    text, number = _text("sms", values["sms"]), values.get("sms_sender", "")
    try:
        url = urlsplit(text)
        host, port = url.hostname or "", url.port
    except ValueError:
        url, host, port = urlsplit(""), "", None
    if not host or not url.username or not url.password or url.path.strip("/") or url.query or url.fragment:
        raise ConfigurationError("notification: sms must read https://ACCOUNT:TOKEN@host")
    if url.scheme != "https" and not (url.scheme == "http" and is_loopback(host)):
        raise ConfigurationError("notification: sms must be https://, as others could read the token otherwise")
    if not re.fullmatch(r"\+[1-9][0-9]{6,14}|[A-Za-z0-9 ]{1,11}", number):
        raise ConfigurationError("notification: sms_sender must be a number such as +15551234567, or up to 11 letters")
    address = f"{url.scheme}://{f'[{host}]' if ':' in host else host}{f':{port}' if port else ''}"
    return SmsSettings(unquote(url.username), unquote(url.password), number, address)


def _public_url(text: str) -> str:
    if text and not re.fullmatch(r"https?://[A-Za-z0-9.:\[\]-]+(/[A-Za-z0-9._~/-]*)?", text):
        raise ConfigurationError("notification: public_url must read https://host or https://host/path")
    return text.rstrip("/")


def _rate(values: Mapping[str, str]) -> int:
    text = values.get("rate", str(RATE))
    rate = whole_number(text, 999_999)
    if not rate:
        raise ConfigurationError(f"notification: rate must be a number of mails from 1, not {text[:20]!r}")
    return rate


def _smtp(values: Mapping[str, str]) -> SmtpSettings | None:
    if not values.get("smtp"):
        return None
    url = _url(values["smtp"])
    tls, host = _TLS[url.scheme][url.query], url.hostname or ""
    user, password = unquote(url.username or ""), unquote(url.password or "")
    if user and not tls and not is_loopback(host):
        raise ConfigurationError(
            "notification: smtp has a password and no TLS, so others could read it: add ?starttls, or use smtps://"
        )
    return SmtpSettings(
        host=host,
        port=url.port or _PORTS[url.scheme, tls],
        tls=tls,
        user=user,
        password=password,
        ca=Path(values["smtp_ca"]) if values.get("smtp_ca") else None,
        timeout=_seconds(values, "smtp_timeout", 30.0),
    )


def _url(value: str) -> SplitResult:
    try:
        url = urlsplit(_text("smtp", value))
        sound = url.query in _TLS[url.scheme] and url.port != 0
    except (ValueError, KeyError):
        sound = False
    if not sound or not url.hostname or url.path.strip("/") or url.fragment:
        raise ConfigurationError(f"notification: smtp must read {_FORM}")
    return url


def _text(name: str, value: str) -> str:
    try:
        return from_file(str)(value)
    except ValueError as error:
        raise ConfigurationError(f"notification: {name} {error}") from None


def is_loopback(host: str) -> bool:
    """Tells whether a host is this machine, so that nobody can listen on the way to it."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _sender(text: str) -> Sender:
    name, address = parseaddr(text)
    if not re.fullmatch(Sender.ADDRESS, address) or not text.isprintable():
        raise ConfigurationError("notification: sender must read Name <address@domain>")
    return Sender(name, address)


def _seconds(values: Mapping[str, str], name: str, default: float) -> float:
    text = values.get(name, str(default))
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.0 < seconds <= _LONGEST:
        raise ConfigurationError(f"notification: {name} must be seconds, above 0 and up to {_LONGEST:g}, not {text!r}")
    return seconds
