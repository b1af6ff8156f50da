"""Listening TCP sockets, which never share their port, and sockets that are inherited."""

import errno
import fcntl
import os
import socket
import struct
import sys
import termios

from souk.kernel.addresses import LOOPBACK
from souk.kernel.errors import ConfigurationError

_CREDENTIALS = "3i"
_SIZE = struct.calcsize(_CREDENTIALS)
BACKLOG = 2048
"""How many connections may wait to be accepted."""


def free_port() -> int:
    """Gives a TCP port of loopback that is free at the moment."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def peer_pid(connection: socket.socket) -> int:
    """Gives the process at the other end of a connection by a socket with a path: the one that connected or listens.

    Source: unix(7), SO_PEERCRED.
    """
    (pid, *_) = struct.unpack(_CREDENTIALS, connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _SIZE))
    return int(pid)


def listen(host: str, port: int) -> socket.socket:
    """Opens a socket that listens. Raises ConfigurationError, in one line, when it cannot.

    The socket never shares its port: with SO_REUSEPORT, which some servers set, two systems would take
    turns in answering. It listens at once, because two sockets that are only bound do not collide.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        # So a restart gets the port while old connections are in TIME_WAIT; two listeners still exclude each other.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise ConfigurationError(_why(host, port, error)) from None
    listener.setblocking(False)
    return listener


def inherited(descriptor: int) -> socket.socket:
    """Opens a listening socket that the parent process passed on. Raises ConfigurationError when it is not one."""
    try:
        listener = socket.socket(fileno=descriptor)
        listening = listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError:
        listening = 0
    if not listening:
        raise ConfigurationError(f"SOUK_LISTEN_FD: descriptor {descriptor} is not a socket that listens")
    listener.setblocking(False)
    return listener


def address_of(listener: socket.socket) -> str:
    """Gives the address of a socket for this machine, as host:port; loopback if it listens on every interface."""
    host, port = listener.getsockname()[:2]
    if host in {"0.0.0.0", "::"}:
        host = LOOPBACK if host == "0.0.0.0" else "::1"
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _why(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {port} is taken, perhaps by another Souk; stop whoever listens there, or choose another with --port"
        )
    if error.errno in {errno.EACCES, errno.EPERM}:
        return f"this user may not listen on port {port}; choose one above 1023 with --port"
    reason = error.strerror or os.strerror(error.errno or 0)
    return f"cannot listen on {host}:{port} ({reason.lower()}); SOUK_HOST must be an address of this machine"


def not_taken(connection: socket.socket) -> int:
    """Returns how many octets the system holds that the peer of a TCP connection has not taken yet; the end of a side
    counts as one. Where the system does not tell (only Linux does), and for a connection that has ended, 0.

    Source: tcp(7), SIOCOUTQ.
    """
    if sys.platform != "linux":
        return 0
    try:
        (octets,) = struct.unpack("i", fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(4)))
    except (OSError, ValueError):
        return 0
    return int(octets)
