"""Runs `souk` on a pseudo terminal."""

import os
import pty
import sys
import termios


def on_a_terminal(*arguments: str, columns: int = 80) -> bytes:
    """Runs a command on a pseudo terminal with a width of `columns`; returns its output."""
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
    except OSError:  # on Linux this means that the other end is closed
        pass
    finally:
        os.close(parent)
        _, status = os.waitpid(pid, 0)
    assert status == 0, bytes(shown)
    return bytes(shown)
