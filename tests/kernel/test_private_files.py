"""What is written durably is on the disk under its name when its writer goes on."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from souk.kernel import private_files
from souk.runtime.data.directory import installation_secret


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Path]]:
    """The calls that give a file its name, and those that wait for the disk, with what they are about."""
    found: list[tuple[str, Path]] = []

    def noted(name: str, about: Callable[..., Path]) -> None:
        call = getattr(os, name)

        def called(*arguments: Any) -> Any:
            found.append((name, about(*arguments)))
            return call(*arguments)

        monkeypatch.setattr(os, name, called)

    noted("fsync", lambda descriptor: Path(os.readlink(f"/proc/self/fd/{descriptor}")))
    for name in ("replace", "link"):
        noted(name, lambda _, path: Path(path))
    return found


def test_the_new_name_of_a_file_is_on_the_disk(calls: list[tuple[str, Path]], tmp_path: Path) -> None:
    path, aside = tmp_path / "record", tmp_path / "aside"
    private_files.replace(path, b"new", aside=aside)
    assert calls == [("fsync", aside), ("replace", path), ("fsync", tmp_path)]


def test_many_files_wait_once_for_their_folder(calls: list[tuple[str, Path]], tmp_path: Path) -> None:
    for name in ("one", "two"):
        private_files.replace(tmp_path / name, b"new", folder_later=True)
    private_files.sync_folder(tmp_path)
    assert calls.count(("fsync", tmp_path)) == 1
    assert calls[-1] == ("fsync", tmp_path)


def test_what_need_not_be_durable_waits_for_no_disk(calls: list[tuple[str, Path]], tmp_path: Path) -> None:
    private_files.replace(tmp_path / "record", b"new", durable=False)
    assert [name for name, _ in calls] == ["replace"]


def test_a_file_whose_name_cannot_be_made_durable_leaves_nothing_beside_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(folder: Path) -> None:
        raise OSError("no space")

    monkeypatch.setattr(private_files, "sync_folder", fail)
    with pytest.raises(OSError, match="no space"):
        private_files.replace(tmp_path / "record", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["record"]


def test_the_secret_of_an_installation_is_on_the_disk(calls: list[tuple[str, Path]], tmp_path: Path) -> None:
    installation_secret(tmp_path)
    named = calls.index(("link", tmp_path / "secret"))
    assert ("fsync", tmp_path) in calls[named:]
