"""Calls the control sockets of the system on a data directory; says in one line why a call is not possible."""

import asyncio
import os
import pwd
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import grpc
import grpc.aio
from soukapi.v1 import fleet_pb2, fleet_pb2_grpc

from souk.admin.process_record import ProcessesFile
from souk.admin.process_status import View, answering
from souk.admin.unix_socket import target
from souk.kernel.errors import ConfigurationError
from souk.runtime.data.layout import DataLayout
from souk.store.sqlite.directory_lock import is_held
from souk.telemetry.proc import boot

_Code = grpc.StatusCode


@asynccontextmanager
async def operating(data: Path) -> "AsyncIterator[fleet_pb2_grpc.FleetAsyncStub]":
    """Gives a stub of `soukapi.v1.Fleet` for the system on a data directory, as `operating_on`."""
    async with operating_on(data) as channel:
        yield fleet_pb2_grpc.FleetStub(channel)


@asynccontextmanager
async def operating_on(data: Path) -> AsyncIterator[grpc.aio.Channel]:
    """Gives a channel to the control socket of the system on a data directory.

    Raises ConfigurationError when no system runs there, when it is another user's, and for calls inside the block
    that it refuses.
    """
    async with answered_at(_control_socket(data), data) as channel:
        yield channel


@asynccontextmanager
async def answered_at(path: Path, data: Path) -> AsyncIterator[grpc.aio.Channel]:
    """Gives a channel to a socket of the system on a data directory.

    Raises ConfigurationError for calls inside the block that are refused.
    """
    try:
        async with connection(str(path)) as channel:
            yield channel
    except grpc.aio.AioRpcError as error:
        raise ConfigurationError(_why(error, data)) from error


def is_served(path: Path) -> bool:
    """Tells whether a process listens on a socket. Raises PermissionError if it is another user's."""
    try:
        with socket.socket(socket.AF_UNIX) as trial:
            trial.setblocking(False)  # one that hangs takes no connection any more, and nobody is to hang with it
            trial.connect(str(path))
    except PermissionError:
        raise
    except BlockingIOError:
        return True
    except OSError:
        # There is no socket, or it was left by a process that was killed.
        return False
    return True


def require_running(data: Path, up: str = "") -> None:
    """Raises ConfigurationError when no system runs on a data directory, or when it is another user's. `up` is the
    command that starts what is needed; without one, that which fits the directory."""
    _control_socket(data, up)


def runs(data: Path) -> bool:
    """Tells whether a system of this user runs on a data directory."""
    try:
        _control_socket(data)
    except ConfigurationError:
        return False
    return True


def _control_socket(data: Path, up: str = "") -> Path:
    path = DataLayout(data.resolve()).control
    try:
        if not is_served(path):
            raise ConfigurationError(_nothing_runs(data, up))
    except PermissionError:
        raise ConfigurationError(not_ours(data)) from None
    return path


def _nothing_runs(data: Path, up: str = "") -> str:
    if is_held(data):
        return f"the system on {data} is starting, or ending; ask again in a moment"
    left = _left(data)
    if left:
        return f"the supervisor on {data} was killed, and what it left is ending: {left}; ask again in a moment"
    # With a plain `souk up`, a directory that holds only a fleet's data would start as one process, without that data.
    fleet = DataLayout(data.resolve()).processes.parent.is_dir() and not any(data.glob("*.db"))
    up = up or ("souk up --topology fleet" if fleet else "souk up")
    return f"no system runs on {data}; start one with `{up} --data {data}`, or name another with --data"


def _left(data: Path) -> str:
    """Gives the names of the processes that a killed supervisor has left and that still run."""
    layout = DataLayout(data.resolve())
    if not layout.processes.exists():
        return ""
    return ", ".join(one.name for one in ProcessesFile(layout.processes, boot()).left_behind())


def not_ours(data: Path) -> str:
    """Gives the message for a user to whom the system does not belong."""
    owner = _owner(data)
    who = owner if owner == "root" else f"{owner} or root"
    return f"the system on {data} is {owner}'s, and only {who} may operate it; ask as that user"


def _owner(data: Path) -> str:
    for folder in (DataLayout(data.resolve()).run, data, *data.absolute().parents):
        try:
            found = os.stat(folder).st_uid
        except OSError:
            continue
        try:
            return pwd.getpwuid(found).pw_name
        except KeyError:
            return f"user {found}"
    return "another user"


def _why(error: grpc.aio.AioRpcError, data: Path) -> str:
    code = error.code()
    if code is _Code.UNAVAILABLE:
        return f"the system on {data} has gone away; its log says why"
    if code is _Code.DEADLINE_EXCEEDED:
        return "no response in time; the operation continues, and `souk ps` shows its progress"
    if code is _Code.UNIMPLEMENTED:
        return f"the system on {data} runs another version of souk, which does not know this; restart it"
    return error.details() or f"the system on {data} failed to answer ({code.name}); its log says why"


PATIENCE = 2.0
"""Seconds that a process gets to answer."""
# By default channels to one target share their connection, and so the pause after a failed attempt: a process
# that has just come back would seem unreachable.
_OPTIONS = (("grpc.use_local_subchannel_pool", 1),)

T = TypeVar("T")
Ask = Callable[[Any], Awaitable[T]]


def connection(path: str) -> grpc.aio.Channel:
    """Opens a channel to a control socket."""
    return grpc.aio.insecure_channel(target(path), options=_OPTIONS)


async def ask(view: View, question: Ask[T], patience: float = PATIENCE) -> T | None:
    """Asks a process; returns its answer, or None when it does not answer for `patience` seconds."""
    if not answering(view):
        return None
    try:
        async with asyncio.timeout(patience), connection(view.control) as channel:
            return await question(fleet_pb2_grpc.ProcessStub(channel))
    except (grpc.aio.AioRpcError, TimeoutError):
        return None


async def ask_all(views: Iterable[View], question: Ask[T], patience: float = PATIENCE) -> list[tuple[View, T | None]]:
    """Asks all processes concurrently; returns each with its answer, or None."""
    asked = list(views)
    return list(zip(asked, await asyncio.gather(*(ask(view, question, patience) for view in asked)), strict=True))


async def status(process: "fleet_pb2_grpc.ProcessAsyncStub") -> fleet_pb2.GetStatusResponse:
    """Gets the status of a process: a question for `ask`."""
    return await process.GetStatus(fleet_pb2.GetStatusRequest())


def control_plane_socket(data: Path, needed: str = "this") -> Path:
    """Finds the socket of the control plane of the fleet on a data directory.

    Raises ConfigurationError, in one line, when no fleet runs there, or one without a mesh, which `needed` needs.
    """
    up = "souk up --topology fleet --mesh"
    require_running(data, up)
    path = DataLayout(data.resolve()).control_plane
    if is_served(path):
        return path
    if path.exists():
        raise ConfigurationError(
            f"the control plane of the fleet on {data} is starting; ask again in a moment, or see `souk logs mesh`"
        )
    raise ConfigurationError(
        f"{needed} needs a mesh, and the system on {data} has no mesh; start it with `{up} --data {data}`"
    )
