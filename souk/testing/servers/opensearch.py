"""An OpenSearch node for tests, with its analysis, Painless and reindex modules."""

from collections.abc import Sequence
from pathlib import Path

from souk.testing.free_ports import free_port
from souk.testing.servers.engine_server import EngineServer, is_answered
from souk.testing.servers.java import java_command


class OpenSearchServer(EngineServer):
    """One node without security. What it has acknowledged outlives `kill`: it is in the log of the index."""

    name = "opensearch"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._http, self._transport = free_port(), free_port()
        self._java = java_command(
            *("opensearch", "512m", "souk.engines.opensearch.OpenSearchServer"),
            *(str(folder), str(self._http), str(self._transport)),
            folder=folder,
        )

    @property
    def url(self) -> str:
        """The URL of its API."""
        return f"http://127.0.0.1:{self._http}"

    def command(self) -> Sequence[str]:
        return self._java

    def prepare(self) -> None:
        (self.folder / "config").mkdir(exist_ok=True)

    async def answers(self) -> bool:
        # Yellow: every index can be written and read, though its copies have no other node to be on.
        return await is_answered(f"{self.url}/_cluster/health?wait_for_status=yellow&timeout=1s")
