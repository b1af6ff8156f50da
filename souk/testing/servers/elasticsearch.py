"""An Elasticsearch node for tests, without the modules of its distribution that cannot be had."""

from collections.abc import Sequence
from pathlib import Path

from souk.testing.engines import engine_path
from souk.testing.free_ports import free_port
from souk.testing.servers.engine_server import EngineServer, is_answered
from souk.testing.servers.java import java_command


class ElasticsearchServer(EngineServer):
    """One node without security, stemmers, synonyms, Painless and reindex: OpenSearch has them."""

    name = "elasticsearch"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._http, self._transport = free_port(), free_port()
        modules = Path(engine_path("elasticsearch")).parent / "modules"
        self._java = java_command(
            *("elasticsearch", "512m", "souk.engines.elasticsearch.ElasticsearchServer"),
            *(str(folder), str(modules), str(self._http), str(self._transport)),
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
