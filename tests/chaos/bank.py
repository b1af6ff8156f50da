"""The card provider of a run: the sandbox bank as a process of its own, behind a proxy that delays and cuts."""

import asyncio
import signal
import sys
from contextlib import suppress
from pathlib import Path

from marketplace.payment.adapters.sandbox_server import KEY_FILE
from souk.kernel.addresses import LOOPBACK
from souk.testing.free_ports import free_port

CHUNK = 65_536
START_LIMIT = 30.0


class Bank:
    """The bank and its proxy, which listens at `url` for Payment. The bank itself is not aware of what the proxy
    holds back, slows down or cuts."""

    def __init__(self, folder: Path) -> None:
        self.book = folder / "book"
        self._log = folder / "bank.log"
        self._port, self._behind = free_port(), free_port()
        self._process: asyncio.subprocess.Process | None = None
        self._listener: asyncio.Server | None = None
        self._connections: set[asyncio.StreamWriter] = set()
        self._answers = asyncio.Event()
        self._answers.set()
        self.delay = 0.0
        self.cuts_answers = False

    @property
    def key_file(self) -> Path:
        """The file from which Payment reads the bank's key."""
        return self.book / KEY_FILE

    @property
    def url(self) -> str:
        """The URL at which Payment calls the bank."""
        return f"http://{LOOPBACK}:{self._port}"

    async def open(self) -> None:
        """Starts the bank, and then listens for Payment."""
        await self._start()
        await self._listen()

    async def close(self) -> None:
        """Ends the bank and the proxy."""
        await self.vanish()

    async def vanish(self) -> None:
        """Kills the bank while it works on requests, which may be booked and are never answered; then the port
        refuses."""
        self.hold()
        await asyncio.sleep(0.15)
        await self._refuse()
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(signal.SIGKILL)
            await self._process.wait()

    async def come_back(self) -> None:
        """Starts the bank again, with its book."""
        self.release()
        await self.open()

    async def _refuse(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.close()
        for writer in list(self._connections):
            writer.transport.abort()

    def hold(self) -> None:
        """Accepts requests, and holds the answers back until `release`."""
        self._answers.clear()

    def release(self) -> None:
        """Lets answers through again, at once."""
        self._answers.set()
        self.delay, self.cuts_answers = 0.0, False

    async def _start(self) -> None:
        self.book.mkdir(parents=True, exist_ok=True)
        words = ("-m", "marketplace.payment.adapters.sandbox_server", "--book", str(self.book))
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, *words, "--port", str(self._behind)),
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
            )
        assert self._process.stdout is not None
        line = await asyncio.wait_for(self._process.stdout.readline(), START_LIMIT)
        assert b"http" in line, f"the bank did not start: {self._log.read_text()[-500:]}"

    async def _listen(self) -> None:
        self._listener = await asyncio.start_server(self._serve, LOOPBACK, self._port)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            theirs, ours = await asyncio.open_connection(LOOPBACK, self._behind)
        except OSError:
            writer.transport.abort()
            return
        self._connections |= {writer, ours}
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, ours, answers=False))
                group.create_task(self._pump(theirs, writer, answers=True))
        except* OSError:
            pass
        finally:
            self._connections -= {writer, ours}
            for one in (writer, ours):
                with suppress(OSError):
                    one.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool) -> None:
        while data := await reader.read(CHUNK):
            if self.delay:
                await asyncio.sleep(self.delay)
            if answers:
                await self._answers.wait()
                if self.cuts_answers:
                    break
            writer.write(data)
            await writer.drain()
        writer.transport.abort()
        raise ConnectionResetError("one side went away")
