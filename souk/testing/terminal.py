"""Runs `souk` on a terminal, as a person would."""

import os
import pty
import sys
import termios


def on_a_terminal(*arguments: str, columns: int = 80) -> bytes:
    """Runs a command on a pseudo terminal of so many columns; returns what it showed."""
    parent, child = pty.openpty()
    termios.tcsetwinsize(child, (24, columns))
    environment = {**os.environ, "TERM": "xterm-256color"}
    environment.pop("COLUMNS", None)
    pid = os.posix_spawn(
        sys.executable,
        (sys.executable, "-m", "souk.cli", *arguments),
        environment,
        file_actions=[(os.POSIX_SPAWN_DUP2, child, 1), (os.POSIX_SPAWN_CLOSE, parent)],
    )
    os.close(child)
    shown = bytearray()
    try:
        while piece := os.read(parent, 4096):
            shown += piece
    except OSError:  # how Linux says that nobody holds the other end any more
        pass
    finally:
        os.close(parent)
        _, status = os.waitpid(pid, 0)
    assert status == 0, bytes(shown)
    return bytes(shown)
