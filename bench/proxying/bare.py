"""The limits of a gateway in Python, as servers that print their port: `python -m bench.proxying.bare WHAT ARGUMENT`.

`empty` answers every request with the argument, on the gateway's own HTTP server, and does nothing else. `hop` passes
octets on to a port, over one connection for each client, and reads nothing of them.
"""

import asyncio
import sys
from typing import Any

import uvloop

from souk.runtime.process.http.server import serving
from souk.runtime.process.sockets import listen


async def _empty(answer: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]

    async def application(scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 201, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    with listen("127.0.0.1", 0) as listener:
        async with serving(application, listener, 1.0) as task:
            print(listener.getsockname()[1], flush=True)
            await task


class _Side(asyncio.Protocol):
    def __init__(self, other: "_Side | None" = None, port: int = 0) -> None:
        self.other, self._port, self._early = other, port, b""
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        if self.other is None:
            loop = asyncio.get_running_loop()
            self._connecting = loop.create_task(loop.create_connection(lambda: _Side(self), "127.0.0.1", self._port))
        else:
            self.other.other = self
            transport.write(self.other._early)

    def data_received(self, data: bytes) -> None:
        if self.other is None:
            self._early += data
        else:
            self.other.transport.write(data)

    def connection_lost(self, error: Exception | None) -> None:
        if self.other is not None:
            self.other.transport.close()


async def _hop(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: _Side(port=port), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main() -> None:
    """Serves until SIGTERM."""
    what, argument = sys.argv[1:]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_empty(argument.encode()) if what == "empty" else _hop(int(argument)))


if __name__ == "__main__":
    main()
