"""Addresses at which a process takes calls: `host:port`, or `unix:/absolute/path` for a socket on the same machine."""

from pathlib import Path
from urllib.parse import quote

UNIX = "unix:"
LOOPBACK = "127.0.0.1"
"""The address at which only this machine can reach a process."""
FREE_PORT = f"{LOOPBACK}:0"
"""Asks for any free port of this machine."""
ON_LOOPBACK = frozenset({LOOPBACK, "::1", "localhost"})
"""Hosts that only this machine can reach."""
LONGEST_PATH = 107
"""Octets that the path of a unix socket may have on Linux (unix(7))."""


def unix_address(path: Path) -> str:
    """Returns the address of a socket at an absolute path."""
    return f"{UNIX}{path}"


def socket_path(address: str) -> str:
    """Returns the path of the unix socket that an address names; empty for host:port."""
    return address.removeprefix(UNIX) if address.startswith(UNIX) else ""


def grpc_target(address: str) -> str:
    """Returns the address in gRPC's form: the path is percent-encoded, because gRPC decodes percent signs in it."""
    path = socket_path(address)
    return f"{UNIX}{quote(path)}" if path else address


def cannot_listen(address: str) -> str:
    """Returns the error message for an address on which no process can listen."""
    return f"cannot listen on {address}: {'is its path too long' if socket_path(address) else 'is the port taken'}?"
