"""A fleet's data directory with only its PostgreSQL running, for tests of commands that open databases from outside."""

import asyncio
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from souk.backing.credentials import Credentials
from souk.backing.postgres.server import STOP_SIGNAL, SUPERUSER, PostgresCluster, cluster_in
from souk.backing.run_as import engine_user, let_pass
from souk.runtime.data.layout import DataLayout
from souk.runtime.process.launcher import as_user
from souk.supervisor.backing_processes import own_databases
from souk.supervisor.capacity import own_connections
from souk.testing.system import reachable

_LIMIT = 60.0
_POOL = 2


@dataclass
class FleetData:
    """A data directory as a fleet leaves it; `urls` are its services' databases while PostgreSQL runs."""

    data: Path
    urls: dict[str, str] = field(default_factory=dict)
    _server: "subprocess.Popen[bytes] | None" = None

    def start(self, services: Sequence[str]) -> None:
        """Starts PostgreSQL as a fleet does, with a database for each service."""
        layout = DataLayout(self.data)
        layout.prepare()
        layout.processes.write_text("{}")
        user = engine_user()
        let_pass(self.data, user)
        cluster, credentials = cluster_in(layout.postgres, user), Credentials(layout.credentials)
        cluster.prepare(credentials.password(SUPERUSER))
        connections = own_connections(len(services), _POOL)
        command = cluster.command(connections.most)
        with layout.log("postgres").open("ab") as log:
            self._server = subprocess.Popen(
                (*as_user(command.user), *command.words), env=dict(command.environment), cwd="/", stdout=log, stderr=log
            )
        self._await(cluster, self._server)
        databases = asyncio.run(own_databases(cluster, credentials, connections, services))
        self.urls = dict(databases.urls)

    def stop(self) -> None:
        """Stops PostgreSQL; all its data is on disk then."""
        server, self._server = self._server, None
        if server is not None:
            server.send_signal(STOP_SIGNAL)
            server.wait(_LIMIT)

    def _await(self, cluster: PostgresCluster, server: "subprocess.Popen[bytes]") -> None:
        until = time.monotonic() + _LIMIT
        while not cluster.answers(server.pid):
            if server.poll() is not None or time.monotonic() > until:
                raise RuntimeError(
                    f"PostgreSQL did not start: {DataLayout(self.data).log('postgres').read_text()[-500:]}"
                )
            time.sleep(0.01)


@contextmanager
def fleet_data(folder: Path) -> Iterator[FleetData]:
    """Makes a data directory that PostgreSQL can reach; its server is stopped at the end of the block."""
    with reachable(folder) as reached:
        data = reached / "data"
        data.mkdir(mode=0o700)
        kept = FleetData(data)
        try:
            yield kept
        finally:
            kept.stop()
