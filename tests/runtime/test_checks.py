"""What a start refuses, because the fleet's own PostgreSQL would not allow it."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from souk.kernel.errors import ConfigurationError
from souk.runtime.checks import require_databases
from souk.runtime.config import entry_points
from souk.runtime.config.settings import DataSettings, Settings

ORDER = [service for service in entry_points.app(None).services if service.name == "order"]
TWO_PHASE = {"coordinator": "two-phase-commit"}


def settings(of_order: Mapping[str, str], data: DataSettings) -> Settings:
    return replace(Settings(), data=data, services={"order": of_order})


@pytest.mark.parametrize(
    ("of_order", "data"),
    [
        ({}, DataSettings()),
        (TWO_PHASE, DataSettings(postgres_prepared=1)),
        (TWO_PHASE, DataSettings(Path(), postgres="postgresql://u:p@host/{service}")),
    ],
)
def test_what_is_allowed_or_not_needed_passes(of_order: Mapping[str, str], data: DataSettings) -> None:
    require_databases(ORDER, settings(of_order, data))


def test_prepared_transactions_that_are_not_allowed_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"^order, .* needs prepared transactions.*: set SOUK_POSTGRES_"):
        require_databases(ORDER, settings(TWO_PHASE, DataSettings()))


def test_a_wrong_setting_of_a_service_is_refused_too() -> None:
    with pytest.raises(ConfigurationError, match=r"^order: coordinator must be saga or"):
        require_databases(ORDER, settings({"coordinator": "dice"}, DataSettings()))
