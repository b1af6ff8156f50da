"""The broker of a run, which is killed and comes back: a server of its own, or the fleet's bus."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from souk.supervisor.backing_processes import BUS
from souk.testing.servers.elasticmq import ElasticMqServer
from souk.testing.servers.engine_server import EngineServer
from souk.testing.servers.kafka import KafkaServer
from souk.testing.servers.rabbitmq import RabbitMqServer
from souk.testing.servers.valkey import DurableValkeyServer
from tests.market.operator import Operator

SERVERS: dict[str, Callable[[Path], EngineServer]] = {
    "valkey": DurableValkeyServer,
    "kafka": KafkaServer,
    "rabbitmq": RabbitMqServer,
    "sqs": ElasticMqServer,
}
VICTIMS = (BUS, *SERVERS)
AWAY = 2.0
"""Seconds for which a broker outside of the fleet stays away."""


class Victim:
    """The broker of that name; a server of its own has its data in a folder."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.server = None if name == BUS else SERVERS[name](folder)

    @property
    def arguments(self) -> tuple[str, ...]:
        """The options of a fleet that uses it."""
        if self.server is None:
            return ()
        if isinstance(self.server, KafkaServer):
            return "--broker", f"kafka://{self.server.address}"
        return "--broker", self.server.url.replace("http:", "sqs:")  # type: ignore[attr-defined]

    async def start(self) -> None:
        """Starts it, before the fleet."""
        if self.server is not None:
            await self.server.start()

    async def kill_and_start(self, operator: Operator) -> float:
        """Kills it and has it come back; returns for how many seconds it was away."""
        began = time.monotonic()
        if self.server is None:
            await asyncio.to_thread(operator.kill, BUS)
            await asyncio.to_thread(operator.await_ready)
        else:
            if isinstance(self.server, RabbitMqServer):
                await self.server.settled()
                began = time.monotonic()
            self.server.kill()
            await asyncio.sleep(AWAY)
            await self.server.start()
        return time.monotonic() - began

    def close(self) -> None:
        """Ends it."""
        if self.server is not None:
            self.server.kill()
