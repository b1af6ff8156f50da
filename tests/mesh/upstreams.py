"""HTTP servers that answer with their name, and traffic that never pauses and counts what fails."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx


@asynccontextmanager
async def upstream(socket: Path, name: str) -> AsyncIterator[Path]:
    """Serves at a unix socket inside the block: each request is answered with the name."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(f"HTTP/1.1 200 OK\r\ncontent-length: {len(name)}\r\n\r\n{name}".encode())
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_unix_server(answer, socket)
    try:
        yield socket
    finally:
        server.close()


class Traffic:
    """Requests through a socket, one after the other, while the block lasts."""

    def __init__(self, socket: Path) -> None:
        self.failures: list[str] = []
        self.answers = 0
        self._socket = socket
        self._last = ""
        self._news = asyncio.Event()

    async def __aenter__(self) -> "Traffic":
        transport = httpx.AsyncHTTPTransport(uds=str(self._socket))
        self._client = httpx.AsyncClient(transport=transport, base_url="http://payment", timeout=10.0)
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.wait({self._task})
        await self._client.aclose()

    async def answered_by(self, name: str) -> None:
        """Waits until a request from now on is answered by the server of that name."""
        self._last = ""
        while self._last != name:
            await self.another()

    async def another(self) -> None:
        """Waits until a further request has ended."""
        await self._news.wait()

    async def _run(self) -> None:
        while True:
            try:
                response = await self._client.get("/")
                self._last = response.text
                if not response.is_success:
                    self.failures.append(f"{response.status_code} {response.text}")
            except httpx.HTTPError as error:
                self.failures.append(repr(error))
            self.answers += 1
            self._news.set()
            self._news = asyncio.Event()
