"""What can be set for Payment."""

from collections.abc import Mapping
from dataclasses import dataclass

from souk.hosting.service import Setting
from souk.kernel.errors import ConfigurationError

CAN_BE_SET = (
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
)


@dataclass(frozen=True, slots=True)
class PaymentSettings:
    """`provider_url` is where the card provider listens: http://, https:// or unix:/path/of/a/socket; empty for
    the sandbox in this process.

    `provider_timeout` is how long it may take to answer, in seconds: longer than its slowest card
    (3 s), and shorter than a charge's try (5 s), so that there is time to ask again by key.
    """

    provider_url: str = ""
    provider_timeout: float = 4.0


def read_settings(values: Mapping[str, str]) -> PaymentSettings:
    """The settings; raises ConfigurationError for a time-out that is none."""
    default = PaymentSettings()
    text = values.get("provider_timeout", str(default.provider_timeout))
    try:
        timeout = float(text)
    except ValueError:
        timeout = 0.0
    if not 0.0 < timeout <= 60.0:
        raise ConfigurationError(f"payment: provider_timeout must be seconds, above 0 and up to 60, not {text!r}")
    return PaymentSettings(values.get("provider_url", ""), timeout)
