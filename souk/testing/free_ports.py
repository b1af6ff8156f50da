"""Ports of loopback that stay free until they are listened on.

They lie below those that the system gives to connections and to whoever asks for port 0. Each process that asks has a
slice of them for itself, which it holds by an abstract unix socket (unix(7)) until it ends: so two that test at the
same time do not get the same one.
"""

import socket
from collections.abc import Iterator
from contextlib import suppress
from functools import cache

from souk.kernel.addresses import LOOPBACK

_FIRST, _SLICE, _SLICES = 12_000, 200, 100


def free_port() -> int:
    """Returns a port that is free for TCP and UDP, and that was not returned for as long as possible."""
    return next(_free_ports())


@cache
def _free_ports() -> Iterator[int]:
    held, number = _held_slice()
    return _cycle(held, _FIRST + number * _SLICE)


def _held_slice() -> tuple[socket.socket, int]:
    for number in range(_SLICES):
        held = socket.socket(socket.AF_UNIX)
        try:
            held.bind(f"\0souk-test-ports-{number}")
        except OSError:
            held.close()
        else:
            return held, number
    raise RuntimeError(f"{_SLICES} processes test at the same time")


def _cycle(held: socket.socket, first: int) -> Iterator[int]:
    """Gives free ports of a slice, again and again, while it is `held`."""
    while held.fileno() >= 0:
        for port in range(first, first + _SLICE):
            with suppress(OSError):
                for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                    with socket.socket(socket.AF_INET, kind) as probe:
                        probe.bind((LOOPBACK, port))
                yield port
