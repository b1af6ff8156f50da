"""The sandbox bank as a server of its own, which outlives whoever it charges for.

    python -m marketplace.payment.adapters.sandbox_server --book DIR --socket PATH
    python -m marketplace.payment.adapters.sandbox_server --book DIR --port 8090

A fleet gives it a socket that only the fleet's owner can reach; at a port it answers everybody on the machine.

Payment uses it when its setting `provider_url` says where it listens. A fleet with more than one
Payment needs it: they share a bank, and a book in a file has one owner.
"""

import argparse
import asyncio
import os
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from marketplace.payment.adapters.sandbox.app import SandboxApp
from marketplace.payment.adapters.sandbox.bank import SandboxBank
from souk.hosting.sockets import BACKLOG
from souk.hosting.web_server import serving
from souk.kernel.clock import SystemClock
from souk.kernel.errors import ConfigurationError
from souk.store.directory_lock import lock_directory
from souk.telemetry.logs import LogSettings, configure

DRAIN = 2.0
"""Seconds that running requests are given at the end."""


async def serve(book: Path, listener: socket.socket) -> None:
    """Serves the book in a folder until it is told to stop."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    bank = await SandboxBank.open(book, SystemClock())
    try:
        async with serving(SandboxApp(bank), listener, DRAIN):
            sys.stdout.write(f"sandbox bank: {_url(listener)}\n")
            sys.stdout.flush()
            await stop.wait()
    finally:
        await bank.close()


def _url(listener: socket.socket) -> str:
    name = listener.getsockname()
    return f"unix:{name}" if listener.family == socket.AF_UNIX else f"http://{name[0]}:{name[1]}"


def _listening(options: argparse.Namespace) -> socket.socket:
    if options.socket is None:
        return socket.create_server((options.host, options.port))
    listener = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177)  # nobody else may open it, not even before its rights are changed
    try:
        listener.bind(str(options.socket))
    finally:
        os.umask(before)
    listener.listen(BACKLOG)
    return listener


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line; a port of 0 lets the system choose, and the first line says which."""
    parser = argparse.ArgumentParser(description="The sandbox bank as a server of its own.")
    parser.add_argument("--book", type=Path, required=True, help="the folder of its book")
    parser.add_argument("--socket", type=Path, help="a unix socket to listen on, in place of a port")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8090)
    options = parser.parse_args(arguments)
    configure(LogSettings())
    try:
        options.book.mkdir(parents=True, exist_ok=True)
        lock = lock_directory(options.book)
        with _listening(options) as listener:
            asyncio.run(serve(options.book, listener))
        lock.release()
    except (OSError, ConfigurationError) as error:
        sys.exit(f"sandbox bank: {error}")


if __name__ == "__main__":
    main()
