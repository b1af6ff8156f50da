"""The HTTP server with an application that reads the body and answers; it ends when its standard input does."""

import asyncio
import sys
from typing import Any

from souk.runtime.process.http.server import serving
from souk.runtime.process.sockets import listen


async def application(scope: Any, receive: Any, send: Any) -> None:
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"x" * 20_000})


async def main() -> None:
    listener = listen("127.0.0.1", 0)
    async with serving(application, listener, 1.0):
        print(listener.getsockname()[1], flush=True)
        await asyncio.to_thread(sys.stdin.read)


asyncio.run(main())
