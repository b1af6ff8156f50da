"""Network namespaces: a process and its sidecar share one, whose only interface is a loopback of its own.

Sockets with a path, and sockets that a process inherits, work across namespaces; ports do not. A namespace has no name:
it lasts as long as a process is in it, or the supervisor has it open. What must be done in one is done by a thread,
which then ends, as it alone has entered it.
"""

import ctypes
import fcntl
import os
import socket
import struct
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from time import sleep
from typing import TypeVar

Made = TypeVar("Made")

_NEW_NETWORK = 0x40000000
"""CLONE_NEWNET of unshare(2)."""
_GET_FLAGS, _SET_FLAGS = 0x8913, 0x8914
"""SIOCGIFFLAGS and SIOCSIFFLAGS of netdevice(7)."""
_SET_ADDRESS, _SET_MASK = 0x8916, 0x891C
"""SIOCSIFADDR and SIOCSIFNETMASK."""
_REQUEST = "16sh22x"
"""The layout of an ifreq whose value are flags."""
_ADDRESS_4, _ADDRESS_6 = "16sHxx4s16x", "16sIi"
"""The layout of an ifreq whose value is an address, and of an in6_ifreq."""
_UP = 0x1
_TRIES, _BETWEEN = 5_000, 0.001
_LISTENS = "0A"


def new_namespace() -> int:
    """Makes a namespace; returns a descriptor of it. Raises OSError when this process may not."""
    return _in_a_thread(_unshared)


def within(namespace: int, do: Callable[[], Made]) -> Made:
    """Calls `do` in the namespace of a descriptor, and returns what it does; sockets that it makes stay there.

    Raises OSError when this process may not enter it.
    """

    def entered() -> Made:
        _require(ctypes.CDLL(None, use_errno=True).setns(namespace, _NEW_NETWORK))
        return do()

    return _in_a_thread(entered)


def add_to_loopback(address: IPv4Address | IPv6Address, number: int) -> None:
    """Gives the loopback of this thread's namespace one address more. Each address of IPv4 needs another number.

    Raises OSError when this process may not.
    """
    if isinstance(address, IPv6Address):
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as any_socket:
            request = struct.pack(_ADDRESS_6, address.packed, address.max_prefixlen, socket.if_nametoindex("lo"))
            fcntl.ioctl(any_socket, _SET_ADDRESS, request)
        _until_bound(address)
        return
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        for set_, value in ((_SET_ADDRESS, address.packed), (_SET_MASK, IPv4Address("255.255.255.255").packed)):
            request = struct.pack(_ADDRESS_4, f"lo:{number}".encode(), socket.AF_INET, value)
            fcntl.ioctl(any_socket, set_, request)


def has_ipv6() -> bool:
    """Tells whether the loopback of this thread's namespace has an address of IPv6."""
    return _can_bind(IPv6Address("::1"))


def listens_in(pid: int, port: int) -> bool:
    """Tells whether somebody listens on a TCP port in the namespace of a process; no if the process has ended."""
    try:
        lines = Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]
    except OSError:
        return False
    fields = (line.split() for line in lines)
    return any(local.endswith(f":{port:04X}") and state == _LISTENS for _, local, _, state, *_ in fields)


def _unshared() -> int:
    _require(ctypes.CDLL(None, use_errno=True).unshare(_NEW_NETWORK))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack(_REQUEST, b"lo", 0)
        (_, flags) = struct.unpack(_REQUEST, fcntl.ioctl(any_socket, _GET_FLAGS, request))
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack(_REQUEST, b"lo", flags | _UP))
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def _until_bound(address: IPv6Address) -> None:
    """Waits until the kernel has made sure, in a thread of its own, that nobody else has an address."""
    tries = 0
    while not _can_bind(address) and tries < _TRIES:
        sleep(_BETWEEN)
        tries += 1


def _can_bind(address: IPv6Address) -> bool:
    try:
        with socket.socket(socket.AF_INET6) as any_socket:
            any_socket.bind((str(address), 0))
    except OSError:
        return False
    return True


def _require(status: int) -> None:
    """Raises OSError if the C library's function has failed."""
    if status:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _in_a_thread(do: Callable[[], Made]) -> Made:
    with ThreadPoolExecutor(1, "network namespace") as thread:
        return thread.submit(do).result()
