"""An OpenSearch node for tests, with its analysis, Painless and reindex modules."""

from collections.abc import Sequence
from pathlib import Path

from souk.testing.engines import free_port
from souk.testing.servers.engine_server import is_answered
from souk.testing.servers.java import JavaServer


class OpenSearchServer(JavaServer):
    """One node without security. What it has acknowledged outlives `kill`: it is in the log of the index."""

    name = "opensearch"
    heap = "512m"
    main = "souk.engines.opensearch.OpenSearchServer"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._http, self._transport = free_port(), free_port()

    @property
    def url(self) -> str:
        """The URL of its API."""
        return f"http://127.0.0.1:{self._http}"

    def arguments(self) -> Sequence[str]:
        return (str(self.folder), str(self._http), str(self._transport))

    def prepare(self) -> None:
        (self.folder / "config").mkdir(exist_ok=True)

    async def answers(self) -> bool:
        # Yellow: every index can be written and read, though its copies have no other node to be on.
        return await is_answered(f"{self.url}/_cluster/health?wait_for_status=yellow&timeout=1s")
