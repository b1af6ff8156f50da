"""An application with a sidecar takes requests of that process alone, whoever may open its socket."""

import asyncio
import os
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from souk.hosting.adopted.from_sidecar import only_from
from souk.runtime.process.http.server import serving


async def application(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


SIDECARS: dict[str, Callable[[], int | None]] = {"this": os.getpid, "another": lambda: 1, "none": lambda: None}


@pytest.mark.parametrize("sidecar", SIDECARS)
async def test_only_the_sidecar_is_answered(sidecar: str) -> None:
    with tempfile.TemporaryDirectory(prefix="app-") as folder, socket.socket(socket.AF_UNIX) as listener:
        path = Path(folder) / "app.sock"
        listener.bind(str(path))
        listener.listen()
        listener.setblocking(False)
        async with serving(application, listener, 0.1, protocol=only_from(SIDECARS[sidecar])):
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            try:
                answer = await reader.read()
            except ConnectionError:
                answer = b""
            writer.close()
    assert answer.startswith(b"HTTP/1.1 200") is (sidecar == "this")
