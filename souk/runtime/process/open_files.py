"""How many files and sockets this process may have open, and how many of them are for clients.

A process at its limit can take no connection, open no database and call nobody, and its event loop spins on
connections that it cannot accept. So the limit is as high as it can be, and clients get a part of it only.
"""

import os
import resource

LEAST = 16
"""Connections that clients get however low the limit is."""


def raise_limit() -> int:
    """Raises the limit of open files to the highest that this user may set; gives what it is then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (ValueError, OSError):  # a kernel that allows less than it says
            return soft
    return hard


def for_clients(wanted: int) -> int:
    """How many of `wanted` connections clients may have: at most half of what can still be opened.

    The other half is the process's own: for its databases, and for the services that it calls.
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
