"""Every setting says what it means; docs/settings.md and --help show the same."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from souk.cli.commands.settings import document
from souk.cli.commands.up import up
from souk.runtime.config.entry_points import loadable_services
from souk.runtime.config.texts import ABOUT, help_of, platform_settings, variables
from souk.runtime.config.variables import VARIABLES

ROOT = Path(__file__).resolve().parents[3]


def test_every_setting_of_the_platform_has_a_text() -> None:
    assert {f"SOUK_{name}".upper() for name in ABOUT} == set(VARIABLES)


def test_every_setting_says_meaning_default_and_unit() -> None:
    found = [setting for _, _, setting in variables(loadable_services())]
    assert len(found) > len(VARIABLES) + 5
    assert [one.name for one in found if not (one.meaning.endswith(".") and one.default and one.unit)] == []


def test_the_document_is_as_the_settings_say() -> None:
    said = "\n".join(document(variables(loadable_services()))) + "\n"
    assert said == (ROOT / "docs" / "settings.md").read_text(), "run: souk settings --markdown > docs/settings.md"


@pytest.mark.parametrize("name", ["port", "data", "topology", "scale", "postgres", "redis", "demo"])
def test_help_says_the_same(name: str) -> None:
    said = " ".join(CliRunner().invoke(up, ["--help"], terminal_width=100).output.split())
    assert help_of(name) in said


def test_a_default_is_what_holds() -> None:
    assert {one.name: one.default for one in platform_settings()}["port"] == "8080"
