"""Runs `souk` on a terminal, as a person would."""

import os
import pty
import sys


def on_a_terminal(*arguments: str) -> bytes:
    """Runs a command on a pseudo terminal; returns what it showed."""
    parent, child = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color"}
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
