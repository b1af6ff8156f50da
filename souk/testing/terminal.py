"""Runs `souk` on a pseudo terminal."""

import os
import pty
import termios

from souk.testing.fork_server import fork_server


def on_a_terminal(*arguments: str, columns: int = 80) -> bytes:
    """Runs a command on a pseudo terminal with a width of `columns`; returns its output."""
    parent, child = pty.openpty()
    termios.tcsetwinsize(child, (24, columns))
    environment = {**os.environ, "TERM": "xterm-256color"}
    environment.pop("COLUMNS", None)
    with open(child, "wb", buffering=0) as terminal, open(os.devnull, "rb") as nothing, open(os.dup(2), "wb") as errors:
        process = fork_server().start(arguments, environment, (nothing, terminal, errors))
    shown = bytearray()
    try:
        while piece := os.read(parent, 4096):
            shown += piece
    except OSError:  # on Linux this means that the other end is closed
        pass
    finally:
        os.close(parent)
        status = process.wait()
    assert status == 0, bytes(shown)
    return bytes(shown)
