"""Zipkin, which keeps traces in memory and takes them as its own JSON, version 2."""

from collections.abc import Sequence
from pathlib import Path

from souk.testing.engines import engine_path
from souk.testing.free_ports import free_port
from souk.testing.servers.engine_server import EngineServer, is_answered


class ZipkinServer(EngineServer):
    """Spans are taken at `spans`; what it has taken is at `query`/api/v2/trace."""

    name = "zipkin"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._jar, self._port = engine_path("zipkin"), free_port()

    @property
    def query(self) -> str:
        """The URL of its query API."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def spans(self) -> str:
        """Where it takes spans."""
        return f"{self.query}/api/v2/spans"

    def command(self) -> Sequence[str]:
        return (
            *("java", "-Xmx256m", "-jar", self._jar, "--armeria.ports[0].ip=127.0.0.1"),
            *(f"--armeria.ports[0].port={self._port}", "--armeria.ports[0].protocols[0]=http"),
        )

    async def answers(self) -> bool:
        return await is_answered(f"{self.query}/health")
