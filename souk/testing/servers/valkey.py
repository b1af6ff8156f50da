"""A Valkey server for tests that keeps its data: each write is on disk before it is answered."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from souk.backing.valkey import find_valkey
from souk.kernel.errors import ConfigurationError
from souk.testing.free_ports import free_port
from souk.testing.servers.engine_server import EngineServer


class DurableValkeyServer(EngineServer):
    """Valkey with an append-only file that is flushed for every write, and which refuses writes when it is full.

    `settings` are further settings of Valkey.
    """

    name = "valkey"

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None) -> None:
        super().__init__(folder)
        self._settings = settings or {}
        self._port = free_port()
        try:
            self._program = find_valkey()
        except ConfigurationError as error:
            pytest.skip(str(error))

    @property
    def url(self) -> str:
        """The URL of its first database."""
        return f"redis://127.0.0.1:{self._port}/0"

    def command(self) -> Sequence[str]:
        settings = {
            "bind": "127.0.0.1",
            "port": str(self._port),
            "dir": str(self.folder),
            "save": "",
            "appendonly": "yes",
            "appendfsync": "always",
            "maxmemory": "64mb",
            "maxmemory-policy": "noeviction",
            **self._settings,
        }
        return (str(self._program), *(word for name, value in settings.items() for word in (f"--{name}", value)))

    async def answers(self) -> bool:
        async with Redis.from_url(f"redis://127.0.0.1:{self._port}", socket_timeout=2.0) as client:
            try:
                return bool(await client.ping())
            except RedisError:
                return False
