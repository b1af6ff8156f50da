"""Where a process takes calls: `host:port`, or `unix:/absolute/path` for a socket on the same machine."""

from pathlib import Path
from urllib.parse import quote

UNIX = "unix:"
LONGEST_PATH = 107
"""Octets that the path of a unix socket may have on Linux (unix(7))."""


def unix_address(path: Path) -> str:
    """The address of a socket at an absolute path."""
    return f"{UNIX}{path}"


def socket_path(address: str) -> str:
    """The path of the unix socket; empty for host:port."""
    return address.removeprefix(UNIX) if address.startswith(UNIX) else ""


def grpc_target(address: str) -> str:
    """The address as gRPC takes it: it decodes percent signs in a path."""
    path = socket_path(address)
    return f"{UNIX}{quote(path)}" if path else address


def cannot_listen(address: str) -> str:
    """What is said when nobody can listen there."""
    return f"cannot listen on {address}: {'is its path too long' if socket_path(address) else 'is the port taken'}?"
