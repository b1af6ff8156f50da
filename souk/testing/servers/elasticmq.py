"""An SQS server for tests: ElasticMQ, with the limits that SQS has."""

from collections.abc import Sequence
from pathlib import Path

from souk.testing.free_ports import free_port
from souk.testing.servers.engine_server import EngineServer, is_answered
from souk.testing.servers.java import java_command

_SETTINGS = """
include classpath("application.conf")
node-address {{ protocol = http, host = "127.0.0.1", port = {port}, context-path = "" }}
rest-sqs {{ enabled = true, bind-hostname = "127.0.0.1", bind-port = {port}, sqs-limits = strict }}
rest-stats {{ enabled = false }}
queues-storage {{ enabled = true, path = "{folder}/queues.conf" }}
messages-storage {{ enabled = true, uri = "jdbc:h2:file:{folder}/messages;WRITE_DELAY=0" }}
"""


class ElasticMqServer(EngineServer):
    """SQS alone, without SNS. Any key and any secret may use it."""

    name = "elasticmq"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._port = free_port()
        self._settings = folder / "elasticmq.conf"
        self._java = java_command(
            *("elasticmq", "128m", "org.elasticmq.server.Main", f"-Dconfig.file={self._settings}"), folder=folder
        )

    @property
    def url(self) -> str:
        """What clients call the end point's URL."""
        return f"http://127.0.0.1:{self._port}"

    def command(self) -> Sequence[str]:
        return self._java

    def prepare(self) -> None:
        self._settings.write_text(_SETTINGS.format(port=self._port, folder=self.folder))

    async def answers(self) -> bool:
        return await is_answered(f"{self.url}/?Action=ListQueues")
