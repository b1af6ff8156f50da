"""What processes in network namespaces listen on, and what can be reached from there."""

import ctypes
import os
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from souk.kernel.addresses import LOOPBACK
from souk.supervisor.isolation.network_namespace import new_namespace

_NEW_NETWORK = 0x40000000
_LISTENS = "0A"


def may_make_namespaces() -> bool:
    """Says whether this user may: root may not everywhere."""
    try:
        os.close(new_namespace())
    except OSError:
        return False
    return True


def ports(pid: int) -> list[int]:
    """Gives the ports at which anybody listens in the namespace of a process."""
    lines = [line for name in ("tcp", "tcp6") for line in Path(f"/proc/{pid}/net/{name}").read_text().splitlines()[1:]]
    listening = [line.split()[1] for line in lines if line.split()[3] == _LISTENS]
    return [int(local.rpartition(":")[2], 16) for local in listening]


def connects(family: int, address: tuple[str, int] | str) -> bool:
    with socket.socket(family) as caller:
        try:
            caller.connect(address)
        except OSError:
            return False
    return True


def connects_to(port: int) -> bool:
    return connects(socket.AF_INET, (LOOPBACK, port)) or connects(socket.AF_INET6, ("::1", port))


def in_a_thread(before: Callable[[], int], then: Callable[[], bool]) -> bool:
    """Runs `then` in a thread that `before` has changed, which may concern that thread alone."""

    def run() -> bool:
        assert before() == 0
        return then()

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(run).result()


def enters(pid: int) -> int:
    with open(f"/proc/{pid}/ns/net", "rb") as namespace:
        return int(ctypes.CDLL(None).setns(namespace.fileno(), _NEW_NETWORK))
