"""The sandbox bank as a server of its own, which keeps running when Payment ends.

    python -m marketplace.payment.adapters.sandbox_server --book DIR --socket PATH
    python -m marketplace.payment.adapters.sandbox_server --book DIR --port 8090

A fleet gives it a socket that only the fleet's owner can open; at a port, every user of the machine can call it.

Payment uses it when the setting `provider_url` names its address and `provider_key_file` the file of its API key.
That file is `provider-key` in the book's folder, and is made at the first start. A fleet with several replicas of
Payment needs this server: they share a bank, and only one process can have the book's file open.
"""

import argparse
import asyncio
import os
import secrets
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from marketplace.payment.adapters.sandbox.app import SandboxApp
from marketplace.payment.adapters.sandbox.bank import SandboxBank
from souk.sdk import ConfigurationError, SystemClock, private_files
from souk.sdk.emulator import BACKLOG, LogSettings, configure, lock_directory, raise_limit, serving

KEY_FILE = "provider-key"
DRAIN = 2.0
"""Seconds that running requests may take when the server stops."""


async def serve(book: Path, listener: socket.socket, api_key: str) -> None:
    """Serves the bank whose book is in a folder, until SIGINT or SIGTERM."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    bank = await SandboxBank.open(book, SystemClock())
    try:
        async with serving(SandboxApp(bank, api_key), listener, DRAIN):
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
    before = os.umask(0o177)  # no other user may open it, at no moment
    try:
        listener.bind(str(options.socket))
    finally:
        os.umask(before)
    listener.listen(BACKLOG)
    return listener


def api_key_in(book: Path) -> str:
    """Returns the API key in the book's folder, and makes it if there is none; only its owner can read it."""
    file = book / KEY_FILE
    if not file.exists():  # no race: this process holds the lock of the folder
        made_up = f"sk_sandbox_{secrets.token_urlsafe(32)}\n".encode("ascii")
        private_files.replace(file, made_up, aside=file.with_suffix(".new"), durable=False)
    return file.read_text(encoding="ascii").strip()


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line. With port 0 the system chooses one; the first line of output names the address."""
    parser = argparse.ArgumentParser(description="The sandbox bank as a server of its own.")
    parser.add_argument("--book", type=Path, required=True, help="the folder of its book")
    parser.add_argument("--socket", type=Path, help="a unix socket to listen on, in place of a port")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8090)
    options = parser.parse_args(arguments)
    configure(LogSettings())
    raise_limit()
    try:
        options.book.mkdir(parents=True, exist_ok=True)
        lock = lock_directory(options.book)
        api_key = api_key_in(options.book)
        with _listening(options) as listener:
            asyncio.run(serve(options.book, listener, api_key))
        lock.release()
    except (OSError, ConfigurationError) as error:
        sys.exit(f"sandbox bank: {error}")


if __name__ == "__main__":
    main()
