"""An SNS server for tests: moto, which keeps everything in memory. Its SQS serves as what a topic delivers to."""

from collections.abc import Sequence
from pathlib import Path

from souk.testing.engines import engine_path
from souk.testing.free_ports import free_port
from souk.testing.servers.engine_server import EngineServer, is_answered


class MotoServer(EngineServer):
    """SNS, and SQS for its subscriptions. After `stop` and `kill` it begins empty. Its SQS is no measure of SQS: it
    delivers FIFO queues out of order and takes stale receipts. ElasticMQ does neither."""

    name = "moto"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._port, self._python = free_port(), engine_path("moto")

    @property
    def url(self) -> str:
        """What clients call the end point's URL."""
        return f"http://127.0.0.1:{self._port}"

    def command(self) -> Sequence[str]:
        return (self._python, "-m", "moto.server", "--host", "127.0.0.1", "--port", str(self._port))

    async def answers(self) -> bool:
        return await is_answered(f"{self.url}/moto-api/")
