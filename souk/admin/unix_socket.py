"""A unix socket that nobody but its owner can open, and contracts served on it.

What keeps others out is the rights: the socket is 0600 and lies in a folder that is 0700, so that there
is no moment at which it could be opened. (gRPC shows no one the peer's credentials of a unix socket.)
"""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

from google.protobuf.descriptor import ServiceDescriptor

from souk.kernel.addresses import LONGEST_PATH, unix_address
from souk.kernel.clock import Clock
from souk.kernel.errors import ConfigurationError
from souk.rpc.grpc.server import serve
from souk.rpc.server.dispatcher import Dispatcher
from souk.runtime.data.directory import private

_SOCKET = 0o600
_GRACE = 0.5
"""Seconds for an operator's question that is being answered when the process stops."""


def target(path: Path | str) -> str:
    """A socket's path as gRPC takes it, whatever its folder is called."""
    return f"unix:{quote(str(path))}"


@asynccontextmanager
async def serving(path: Path, servicers: Mapping[ServiceDescriptor, object], clock: Clock) -> AsyncIterator[None]:
    """Serves contracts on a socket inside the block; raises ConfigurationError, in one line, when it cannot."""
    _require_short(path)
    private(path.parent)
    dispatcher = Dispatcher(None, clock)
    for contract, servicer in servicers.items():
        dispatcher.add(servicer, contract)
    try:
        server = await serve(dispatcher, unix_address(path))
    except ConfigurationError:
        raise ConfigurationError(f"no control socket can be made at {path}; is another process there?") from None
    try:
        _close_to_others(path)
        yield
    finally:
        await server.stop(_GRACE)


def _require_short(path: Path) -> None:
    """What the system would refuse is refused in a line of ours: gRPC writes one of its own to standard error."""
    size = len(os.fsencode(path))
    if size > LONGEST_PATH:
        raise ConfigurationError(
            f"the path of the control socket has {size} bytes, and the system takes {LONGEST_PATH}; "
            f"choose a shorter one: {path}"
        )


def _close_to_others(path: Path) -> None:
    path.chmod(_SOCKET)
