"""Serves contracts on a unix socket that only its owner can open.

File modes keep other users out: the socket is 0600 and in a folder that is 0700, so that there is no moment
at which they could open it. (gRPC does not show a server the peer's credentials of a unix socket.)
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
"""Seconds for a call that is being answered when the process stops."""


def target(path: Path | str) -> str:
    """Gives the gRPC target of a socket's path, whatever characters the path has."""
    return f"unix:{quote(str(path))}"


@asynccontextmanager
async def serving(path: Path, servicers: Mapping[ServiceDescriptor, object], clock: Clock) -> AsyncIterator[None]:
    """Serves contracts on a socket inside the block. Raises ConfigurationError, in one line, when it cannot."""
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
    """Checks the length of a path. Raises ConfigurationError before gRPC fails, which would write to standard error."""
    size = len(os.fsencode(path))
    if size > LONGEST_PATH:
        raise ConfigurationError(
            f"the path of the control socket has {size} bytes, and the system takes {LONGEST_PATH}; "
            f"choose a shorter one: {path}"
        )


def _close_to_others(path: Path) -> None:
    path.chmod(_SOCKET)
