"""A Kafka broker for tests: broker and controller in one process, and one topic partition's replica is all there is."""

import asyncio
import subprocess
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from souk.testing.free_ports import free_port
from souk.testing.servers.engine_server import EngineServer, listens
from souk.testing.servers.java import java_command

_INTERNAL_TOPICS = ("offsets.topic", "transaction.state.log", "share.coordinator.state.topic")


class KafkaServer(EngineServer):
    """Kafka without ZooKeeper, which creates no topic by itself.

    What it has acknowledged outlives `kill`, since it has given it to the system; it does not flush for the end of the
    machine. `group.protocol=consumer`, transactions and share groups are available.
    """

    name = "kafka"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._settings = folder / "server.properties"
        self._data = folder / "data"
        self._ports = free_port(), free_port()
        self._java = java_command(
            *("kafka", "256m", "kafka.Kafka", str(self._settings)),
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
            folder=folder,
        )

    @property
    def address(self) -> str:
        """What clients call `bootstrap.servers`."""
        return f"127.0.0.1:{self._ports[0]}"

    def command(self) -> Sequence[str]:
        return self._java

    def prepare(self) -> None:
        if self._data.exists():
            return
        controller = f"127.0.0.1:{self._ports[1]}"
        settings = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@{controller}",
            "listeners": f"PLAINTEXT://{self.address},CONTROLLER://{controller}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": str(self._data),
            "auto.create.topics.enable": "false",
            "group.initial.rebalance.delay.ms": "0",
            # After a crash the controller takes the broker back only when the session of its former life has ended.
            "broker.session.timeout.ms": "2000",
            "broker.heartbeat.interval.ms": "400",
        }
        for topic in _INTERNAL_TOPICS:
            settings |= {f"{topic}.num.partitions": "1", f"{topic}.replication.factor": "1"}
        settings |= {f"{topic}.min.isr": "1" for topic in _INTERNAL_TOPICS[1:]}
        self._settings.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        self._format()

    def _format(self) -> None:
        cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        # By an equals sign: one id in 64 begins with a dash, as an option does.
        tool = ("kafka.tools.StorageTool", "format", f"--cluster-id={cluster}", "--config", str(self._settings))
        words = [*self._java[: self._java.index("kafka.Kafka")], *tool]
        done = subprocess.run(words, cwd=self.folder, text=True, capture_output=True, check=False)
        assert done.returncode == 0, f"kafka: its data directory cannot be made: {done.stdout}{done.stderr}"

    async def answers(self) -> bool:
        return listens(self._ports[0]) and await asyncio.to_thread(self._has_a_broker)

    def _has_a_broker(self) -> bool:
        client = AdminClient({"bootstrap.servers": self.address, "log_level": 0})
        try:
            return bool(client.list_topics(timeout=2.0).brokers)
        except KafkaException:
            return False
