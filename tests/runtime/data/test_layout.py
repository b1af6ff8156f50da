"""Where a fleet keeps what."""

import stat
from pathlib import Path

from souk.runtime.data.layout import LONGEST_SOCKET, Places


def test_everything_is_private(tmp_path: Path) -> None:
    places = Places(tmp_path)
    places.prepare()
    for folder in (places.run, places.logs, places.processes.parent, places.valkey):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_sockets_of_an_earlier_run_are_forgotten(tmp_path: Path) -> None:
    places = Places(tmp_path)
    places.prepare()
    stale = places.of("order-1")
    stale.touch()
    places.prepare()
    assert not stale.exists()


def test_a_directory_with_a_long_name_has_its_sockets_elsewhere(tmp_path: Path) -> None:
    data = tmp_path / ("x" * LONGEST_SOCKET)
    data.mkdir()
    places = Places(data)
    places.prepare()
    elsewhere = Places(data).run_folder()
    assert elsewhere != places.run
    assert stat.S_IMODE(elsewhere.stat().st_mode) == 0o700
    assert all(len(str(path)) <= LONGEST_SOCKET for path in (places.control, places.registry, places.valkey_socket))
    places.forget_sockets()
    assert not elsewhere.exists()
    assert places.run_folder() == places.run


def test_a_folder_that_is_not_of_an_earlier_run_is_not_removed(tmp_path: Path) -> None:
    places, precious = Places(tmp_path / "data"), tmp_path / "precious"
    precious.mkdir()
    places.run.mkdir(parents=True)
    (places.run / "where").write_text(str(precious))
    places.prepare()
    assert precious.exists()
