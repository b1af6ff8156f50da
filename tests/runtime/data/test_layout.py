"""Where a fleet keeps what."""

import stat
from pathlib import Path
from tempfile import TemporaryDirectory

from souk.runtime.data.layout import LONGEST_SOCKET, DataLayout


def test_everything_is_private(tmp_path: Path) -> None:
    layout = DataLayout(tmp_path)
    layout.prepare()
    for folder in (layout.run, layout.logs, layout.processes.parent, layout.valkey):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_sockets_of_an_earlier_run_are_forgotten(tmp_path: Path) -> None:
    layout = DataLayout(tmp_path)
    layout.prepare()
    stale = layout.of("order-1")
    stale.touch()
    layout.prepare()
    assert not stale.exists()


def test_a_directory_with_a_long_name_has_its_sockets_elsewhere(tmp_path: Path) -> None:
    data = tmp_path / ("x" * LONGEST_SOCKET)
    data.mkdir()
    layout = DataLayout(data)
    layout.prepare()
    elsewhere = DataLayout(data).run_folder()
    assert elsewhere != layout.run
    assert stat.S_IMODE(elsewhere.stat().st_mode) == 0o700
    assert all(len(str(path)) <= LONGEST_SOCKET for path in (layout.control, layout.registry, layout.valkey_socket))
    layout.forget_sockets()
    assert not elsewhere.exists()
    assert layout.run_folder() == layout.run


def test_both_sockets_of_one_process_can_be_bound_however_long_the_name_of_the_directory_is() -> None:
    with TemporaryDirectory() as short:
        elsewhere = 0
        for length in range(LONGEST_SOCKET - len(short)):
            layout = DataLayout(Path(short) / ("x" * max(length, 1)))
            layout.prepare_run_of_one()
            assert max(len(str(path)) for path in (layout.control, layout.registry)) <= LONGEST_SOCKET
            elsewhere += layout.run_folder() != layout.run
            layout.forget_sockets()
        assert 0 < elsewhere < LONGEST_SOCKET - len(short)


def test_a_folder_that_is_not_of_an_earlier_run_is_not_removed(tmp_path: Path) -> None:
    layout, precious = DataLayout(tmp_path / "data"), tmp_path / "precious"
    precious.mkdir()
    layout.run.mkdir(parents=True)
    (layout.run / "where").write_text(str(precious))
    layout.prepare()
    assert precious.exists()
