"""How many files and sockets this process may have open, and how many of them are for clients.

A process at its limit cannot accept connections, open a database or call a service, and its event loop spins on
connections that it cannot accept. So the limit is raised as far as possible, and clients get only a part of it.
"""

import os
import resource

LEAST = 16
"""Connections that clients get however low the limit is."""


def raise_limit() -> int:
    """Raises the limit of open files to the highest that this user may set, and returns the resulting limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (ValueError, OSError):  # the kernel allows less than the hard limit
            return soft
    return hard


def for_clients(wanted: int) -> int:
    """Gives how many of `wanted` connections clients may have: at most half of the files that can still be opened,
    but LEAST in any case.

    The other half is for the process itself: for its databases, and for the services that it calls.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return wanted
    return min(wanted, max(LEAST, (limit - _open_now()) // 2))


def _open_now() -> int:
    try:
        return len(os.listdir("/proc/self/fd"))
    except OSError:
        return 64
