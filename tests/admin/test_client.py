"""Whether a process listens on a socket, also when it hangs."""

import socket
from pathlib import Path
from threading import Thread

from souk.admin.client import is_served

PATIENCE = 60.0


def test_a_socket_is_served_as_long_as_somebody_listens(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    assert not is_served(path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        assert is_served(path)
    assert not is_served(path)


def test_nobody_hangs_with_a_process_that_takes_no_connection_any_more(tmp_path: Path) -> None:
    path, found = tmp_path / "control.sock", list[bool]()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(0)
        while takes_one_more(path):
            pass
        asking = Thread(target=lambda: found.append(is_served(path)), daemon=True)
        asking.start()
        asking.join(PATIENCE)
        assert found == [True]


def takes_one_more(path: Path) -> bool:
    """Connects once more, and ends that; a connection that nobody has accepted counts on."""
    with socket.socket(socket.AF_UNIX) as one:
        one.setblocking(False)
        try:
            one.connect(str(path))
        except BlockingIOError:
            return False
    return True
