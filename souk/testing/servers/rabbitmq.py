"""A RabbitMQ broker for tests, with an Erlang of its own and a port mapper (epmd) of its own."""

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

import aio_pika

from souk.testing.engines import engine_path
from souk.testing.free_ports import free_port
from souk.testing.servers.engine_server import EngineServer, listens

_USER = "guest"


class RabbitMqServer(EngineServer):
    """One node with a name, a cookie and ports of its own. Its folder must not move: its data belongs to its name."""

    name = "rabbitmq"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._program = Path(engine_path("rabbitmq"))
        self._erlang = self._program.parents[2] / "erlang"
        self._port, self._nodes, self._mapper = free_port(), free_port(), free_port()

    @property
    def url(self) -> str:
        """The URL of its default virtual host."""
        return f"amqp://{_USER}:{_USER}@127.0.0.1:{self._port}/"

    def command(self) -> Sequence[str]:
        # RabbitMQ would start a port mapper as a daemon, outside of the group: it finds this one.
        return ("sh", "-c", f'epmd & exec "{self._program}"')

    def environment(self) -> Mapping[str, str]:
        base = self.folder
        return {
            "PATH": f"{self._erlang}/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(base),  # of the cookie
            "LANG": "C.UTF-8",
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self._mapper),
            "RABBITMQ_NODENAME": f"souk-{self._port}@localhost",
            "RABBITMQ_DIST_PORT": str(self._nodes),
            "RABBITMQ_MNESIA_BASE": f"{base}/data",
            "RABBITMQ_LOG_BASE": str(base),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_CONFIG_FILE": f"{base}/rabbitmq.conf",
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{base}/enabled_plugins",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 2:2 -kernel inet_dist_use_interface {127,0,0,1}",
            "RUNNING_UNDER_SYSTEMD": "true",  # its script then becomes the server, instead of waiting for it
        }

    def prepare(self) -> None:
        (self.folder / "data").mkdir(exist_ok=True)
        (self.folder / "enabled_plugins").write_text("[].\n")
        cookie = self.folder / ".erlang.cookie"
        if not cookie.exists():
            cookie.write_text(secrets.token_hex(16))
            cookie.chmod(0o600)
        settings = {
            "listeners.tcp.1": f"127.0.0.1:{self._port}",
            "log.console.level": "warning",
            # This machine's memory and disk are shared with much else: an alarm would block publishers.
            "vm_memory_high_watermark.absolute": "512MB",
            "disk_free_limit.absolute": "50MB",
        }
        (self.folder / "rabbitmq.conf").write_text("".join(f"{name} = {value}\n" for name, value in settings.items()))

    async def answers(self) -> bool:
        if not listens(self._port):
            return False
        try:
            connection = await aio_pika.connect(self.url, timeout=5.0)
            await connection.close()
        except (aio_pika.exceptions.AMQPError, OSError, TimeoutError):
            return False
        return True

    async def settled(self) -> None:
        """Waits until the quorum queues that were declared are in its file of them.

        RabbitMQ writes it within a second. A queue that a crash comes before is never served again.
        """
        while not all(map(_is_closed, (self.folder / "data").glob("*/quorum/*/names.dets"))):  # noqa: ASYNC110
            await asyncio.sleep(0.05)


def _is_closed(file: Path) -> bool:
    """Whether Erlang has written all that it was given into one of its tables on disk."""
    with file.open("rb") as table:
        return int.from_bytes(table.read(12)[8:]) != 0
