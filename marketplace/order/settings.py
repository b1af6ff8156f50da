"""The settings of Order."""

from collections.abc import Mapping
from dataclasses import dataclass

from souk.sdk import ConfigurationError, Setting

SAGA, TWO_PHASE_COMMIT = "saga", "two-phase-commit"
SETTINGS = (
    Setting(
        "coordinator",
        "What places an order: a saga, or, for orders that are paid from the wallet, two-phase commit.",
        SAGA,
        f"{SAGA} or {TWO_PHASE_COMMIT}",
    ),
    Setting("saga_deadline", "How long placing an order may take before all of it is undone.", "60", "seconds"),
    Setting(
        "lost_charges",
        "What happens to a charge in Payment's book without an order: refund it, or only report it.",
        "refund",
        "refund or report",
    ),
)
LONGEST_DEADLINE = 600.0


@dataclass(frozen=True, slots=True)
class PlacingSettings:
    """`deadline` is how long placing an order may take before it is undone, in seconds.

    With `two_phase`, orders that are paid from the wallet are placed by two-phase commit.
    """

    deadline: float = 60.0
    two_phase: bool = False


@dataclass(frozen=True, slots=True)
class LostChargeSettings:
    """With `report_only`, charges without an order are counted and logged, but not refunded."""

    report_only: bool = False


@dataclass(frozen=True, slots=True)
class OrderSettings:
    """The settings of the service, read once."""

    placing: PlacingSettings
    lost_charges: LostChargeSettings


def read_settings(values: Mapping[str, str]) -> OrderSettings:
    """Reads the settings; raises ConfigurationError, in one line, for an invalid value."""
    return OrderSettings(
        PlacingSettings(_deadline(values), _two_phase(values)), LostChargeSettings(_report_only(values))
    )


def _deadline(values: Mapping[str, str]) -> float:
    """Returns the deadline in seconds, limited so that a reservation of stock lasts far longer."""
    text = values.get("saga_deadline", "60")
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 1.0 <= seconds <= LONGEST_DEADLINE:
        raise ConfigurationError(f"order: saga_deadline must be 1 to {LONGEST_DEADLINE:g} seconds, not {text!r}")
    return seconds


def _two_phase(values: Mapping[str, str]) -> bool:
    text = values.get("coordinator", SAGA)
    if text not in (SAGA, TWO_PHASE_COMMIT):
        raise ConfigurationError(f"order: coordinator must be {SAGA} or {TWO_PHASE_COMMIT}, not {text!r}")
    return text == TWO_PHASE_COMMIT


def _report_only(values: Mapping[str, str]) -> bool:
    text = values.get("lost_charges", "refund")
    if text not in ("refund", "report"):
        raise ConfigurationError(f"order: lost_charges must be refund or report, not {text!r}")
    return text == "report"
