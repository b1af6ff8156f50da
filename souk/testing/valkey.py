"""A real Valkey or Redis for tests: one server for a session, on a socket in a folder of its own."""

import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path

import pytest
from redis.asyncio import Redis

from souk.backing.valkey import CACHE, command, find_valkey
from souk.kernel.errors import ConfigurationError
from souk.runtime.data.redis import open_redis
from souk.testing.system import until

_STOP_LIMIT = 60.0
_START_LIMIT = 120.0


class ValkeyServer:
    """A Valkey server with the settings `kind`. `stop` and then `start` is a restart: a CACHE loses all data."""

    def __init__(self, program: Path, kind: Mapping[str, str] = CACHE) -> None:
        self._program, self._kind = program, kind
        self._folder = Path(tempfile.mkdtemp(prefix="souk-valkey-"))
        self.socket = self._folder / "valkey.sock"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The URL of its socket."""
        return f"unix://{self.socket}"

    def start(self) -> None:
        """Starts it, and waits until its socket exists."""
        self.socket.unlink(missing_ok=True)
        words = command(self._program, self._folder, self.socket, self._kind).words
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(words, stdout=log, stderr=log, cwd=self._folder)
        until(self.socket.exists, _START_LIMIT, "valkey listens")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Stops it by a signal to its process."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(_STOP_LIMIT)
            self._process = None

    def remove(self) -> None:
        """Stops it and deletes its folder."""
        self.stop(signal.SIGKILL)
        shutil.rmtree(self._folder, ignore_errors=True)


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[ValkeyServer]:
    """Runs one server for the session; skips the test when none is installed."""
    try:
        server = ValkeyServer(find_valkey())
    except ConfigurationError as error:
        pytest.skip(str(error))
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
async def redis(valkey_server: ValkeyServer) -> AsyncIterator[Redis]:
    """A client, opened as for services, of an empty server."""
    async with open_redis(valkey_server.url) as client:
        assert client is not None
        await client.flushall()
        yield client
