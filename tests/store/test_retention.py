"""Nothing grows for ever without somebody having decided so."""

import re
from collections.abc import Iterator
from importlib.resources.abc import Traversable
from pathlib import Path

import pytest

from marketplace.app.app import app
from souk.descriptors.contract import contract_of
from souk.store.migrations import platform_migrations, read_migrations, statements

DOCUMENT = Path(__file__).parents[2] / "docs" / "retention.md"
_MADE = re.compile(r"CREATE (?:VIRTUAL )?TABLE (?:IF NOT EXISTS )?(\w+)", re.IGNORECASE)
_RENAMED = re.compile(r"ALTER TABLE (\w+) RENAME TO (\w+)", re.IGNORECASE)
_DROPPED = re.compile(r"DROP TABLE (?:IF EXISTS )?(\w+)", re.IGNORECASE)


def tables(folder: Traversable, engine: str) -> set[str]:
    """The tables that are there after all migrations."""
    found: set[str] = set()
    for migration in read_migrations(folder, engine):
        for statement in statements(migration.sql):
            found |= set(_MADE.findall(statement))
            found -= set(_DROPPED.findall(statement))
            for old, new in _RENAMED.findall(statement):
                found = found - {old} | {new}
    return found


def stated(title: str) -> dict[str, str]:
    """What the document says of the tables below a title."""
    section = DOCUMENT.read_text().partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    return dict(re.findall(r"^\| `(\w+)` \| (\S.*) \|$", section, re.MULTILINE))


def sections() -> Iterator[tuple[str, Traversable, set[str]]]:
    yield "Of the platform, in each service's database", platform_migrations(), {"souk_migrations"}
    for service in app.services:
        if service.migrations is not None:
            yield service.name.capitalize(), service.migrations, set()


@pytest.mark.parametrize(("title", "folder", "besides"), list(sections()), ids=lambda value: str(value)[:20])
def test_every_table_says_how_long_it_keeps_its_rows(title: str, folder: Traversable, besides: set[str]) -> None:
    known = tables(folder, "sqlite") | tables(folder, "postgres") | besides
    assert stated(title).keys() == known


def test_every_public_write_says_what_bounds_its_rows() -> None:
    written = {
        method.name
        for service in app.services
        for method in contract_of(service.contract).methods.values()
        if method.http and not method.read_only and not method.policy.roles
    }
    assert stated("What one caller can add").keys() == written
