"""The settings of Payment."""

from collections.abc import Mapping
from dataclasses import dataclass

from souk.sdk import ConfigurationError, Setting

SETTINGS = (
    Setting(
        "provider_url",
        "Where the card provider listens: http://, https:// or unix:/path/of/a/socket.",
        "the sandbox bank; a fleet starts one as a process of its own",
        "URL",
    ),
    Setting(
        "provider_timeout",
        "How long the card provider may take: longer than its slowest card, shorter than a charge's try (5 s).",
        "4",
        "seconds",
    ),
    Setting(
        "provider_key_file",
        "The file with the card provider's API key; read when it is needed, and again after it was refused.",
        "no key is sent; a fleet takes that of its sandbox bank",
        "path",
    ),
    Setting(
        "reconcile",
        "What happens to a charge in the provider's record without a payment: refund it, or only report it.",
        "refund",
        "refund or report",
    ),
    Setting(
        "reconcile_interval",
        "How often the provider's record is compared with the book.",
        "10",
        "seconds",
    ),
)


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """`url` is the card provider's address: http://, https:// or unix:/path/of/a/socket; empty for the sandbox
    bank in this process.

    `timeout` is how long it may take to answer, in seconds: longer than its slowest card (3 s), and
    shorter than a charge's try (5 s), so that there is time to ask again by key.

    `key_file` is the file with the provider's API key; it is read when it is first needed, and again after the
    provider has refused the key. Default: none, and no key is sent.
    """

    url: str = ""
    timeout: float = 4.0
    key_file: str = ""


@dataclass(frozen=True, slots=True)
class ReconcileSettings:
    """What happens to a charge in the provider's record that belongs to no payment.

    It is refunded; with `report_only` it is only counted and logged, for a provider's account that others use
    too. `interval` is the time between two comparisons, in seconds.
    """

    report_only: bool = False
    interval: float = 10.0


@dataclass(frozen=True, slots=True)
class PaymentSettings:
    """The settings of the service, read once."""

    provider: ProviderSettings
    reconcile: ReconcileSettings


def read_settings(values: Mapping[str, str]) -> PaymentSettings:
    """Reads the settings; raises ConfigurationError, in one line, for an invalid value."""
    return PaymentSettings(_provider(values), _reconcile(values))


def _provider(values: Mapping[str, str]) -> ProviderSettings:
    default = ProviderSettings()
    return ProviderSettings(
        url=values.get("provider_url", default.url),
        timeout=_seconds(values, "provider_timeout", default.timeout, 60.0),
        key_file=values.get("provider_key_file", default.key_file),
    )


def _reconcile(values: Mapping[str, str]) -> ReconcileSettings:
    what = values.get("reconcile", "refund")
    if what not in ("refund", "report"):
        raise ConfigurationError(f"payment: reconcile must be refund or report, not {what!r}")
    interval = _seconds(values, "reconcile_interval", ReconcileSettings().interval, 86_400.0)
    return ReconcileSettings(what == "report", interval)


def _seconds(values: Mapping[str, str], name: str, default: float, most: float) -> float:
    text = values.get(name, str(default))
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.0 < seconds <= most:
        raise ConfigurationError(f"payment: {name} must be seconds, above 0 and up to {most:g}, not {text!r}")
    return seconds
