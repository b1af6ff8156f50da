"""The broker of a fleet, as what kills it sees it: the fleet's own bus, or a real server outside of the fleet."""

import asyncio
import os
import signal
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from souk.supervisor.backing_processes import BUS
from souk.testing.servers.elasticmq import ElasticMqServer
from souk.testing.servers.engine_server import EngineServer
from souk.testing.servers.kafka import KafkaServer
from souk.testing.servers.rabbitmq import RabbitMqServer
from souk.testing.servers.valkey import DurableValkeyServer
from souk.testing.system import until
from tests.market.operator import LIMIT, Operator

SERVERS: dict[str, Callable[[Path], EngineServer]] = {
    "valkey": DurableValkeyServer,
    "kafka": KafkaServer,
    "rabbitmq": RabbitMqServer,
    "sqs": ElasticMqServer,
}
BROKERS = (BUS, *SERVERS)


class Broker(ABC):
    """A broker that things happen to. The operator is that of its fleet."""

    name: str
    arguments: tuple[str, ...] = ()
    """The options of a fleet that uses it."""
    is_outside = False
    """Whether it is no process of the fleet, and so is started before it and does not come back by itself."""

    async def start(self) -> None:  # noqa: B027 - the fleet starts its own
        """Starts it, before the fleet, if it is outside."""

    @abstractmethod
    async def kill(self, operator: Operator) -> None:
        """kill -9, once it is there."""

    async def come_back(self) -> None:  # noqa: B027 - the supervisor starts the fleet's own again
        """Starts it again after `kill`, if it is outside."""

    @abstractmethod
    async def restart(self, operator: Operator) -> None:
        """Ends it as an operator does, and starts it again."""

    @abstractmethod
    async def pause(self, operator: Operator) -> None:
        """SIGSTOP: connections stay open, and nothing answers on them."""

    @abstractmethod
    def resume(self) -> None:
        """SIGCONT."""

    def close(self) -> None:  # noqa: B027 - the fleet ends its own
        """Ends it, if it is outside."""


class FleetBus(Broker):
    """The bus that a fleet has by default."""

    name = BUS
    _paused = 0

    async def kill(self, operator: Operator) -> None:
        await asyncio.to_thread(operator.await_ready)
        await asyncio.to_thread(_signal_bus, operator, signal.SIGKILL)

    async def restart(self, operator: Operator) -> None:
        await asyncio.to_thread(operator.souk, "restart", BUS)

    async def pause(self, operator: Operator) -> None:
        self._paused = await asyncio.to_thread(_signal_bus, operator, signal.SIGSTOP)

    def resume(self) -> None:
        with suppress(ProcessLookupError):
            if self._paused:
                os.kill(self._paused, signal.SIGCONT)


def _signal_bus(operator: Operator, number: signal.Signals) -> int:
    """Signals the bus as soon as it has a process, which it has not while the supervisor starts it again."""
    until(lambda: operator.process(BUS)["pid"], LIMIT, "the bus has a process")
    return operator.kill(BUS, number)


class OutsideBroker(Broker):
    """A server that the fleet is only given the URL of. Its data is in a folder."""

    is_outside = True

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self._server = SERVERS[name](folder)

    @property
    def arguments(self) -> tuple[str, ...]:  # type: ignore[override]
        if isinstance(self._server, KafkaServer):
            return "--broker", f"kafka://{self._server.address}"
        return "--broker", self._server.url.replace("http:", "sqs:")  # type: ignore[attr-defined]

    async def start(self) -> None:
        await self._server.start()

    async def kill(self, operator: Operator) -> None:
        await self._server.start()
        if isinstance(self._server, RabbitMqServer):
            await self._server.settled()
        self._server.kill()

    async def come_back(self) -> None:
        await self._server.start()

    async def restart(self, operator: Operator) -> None:
        await self._server.stop()
        await self._server.start()

    async def pause(self, operator: Operator) -> None:
        self._server.pause()

    def resume(self) -> None:
        self._server.resume()

    def close(self) -> None:
        self._server.kill()


def broker_of(name: str, folder: Path) -> Broker:
    """Makes the broker of that name, one of BROKERS, not started yet."""
    return FleetBus() if name == BUS else OutsideBroker(name, folder)
