"""The engines of a fleet, and the database of each service, on the fleet's own PostgreSQL or on a given server."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from souk.admin.process_record import Started
from souk.admin.process_status import ENGINE
from souk.backing import bus, valkey
from souk.backing.credentials import Credentials
from souk.backing.postgres.roles import PostgresServer, is_template
from souk.backing.postgres.server import (
    KILL_SIGNAL,
    STOP_SIGNAL,
    SUPERUSER,
    PostgresCluster,
    cluster_in,
)
from souk.backing.run_as import engine_user, let_pass
from souk.kernel.errors import ConfigurationError
from souk.runtime.config.settings import SERVICE_PLACEHOLDER, DataSettings, EventSettings
from souk.runtime.data.layout import DataLayout
from souk.runtime.process.command import Command
from souk.runtime.service import Service
from souk.supervisor import orphans
from souk.supervisor.capacity import ConnectionBudget, own_connections, shared_connections
from souk.supervisor.fleet import Fleet
from souk.supervisor.output.log_filter import News, postgres_news, valkey_news
from souk.supervisor.output.readiness import LineProbe, PollProbe
from souk.supervisor.process_spec import ProcessSpec, SupervisorContext
from souk.supervisor.replica_set import ReplicaSet

POSTGRES, VALKEY, BUS = "postgres", "valkey", "bus"
NO_DATABASE = "postgresql://nobody@localhost/none"
"""The URL for a service without migrations, which never connects: a URL tells it that its replicas share its folder."""

_BUS_END_LIMIT = 10.0


@dataclass(frozen=True, slots=True)
class Databases:
    """The URL of each service's database, by the service's name, and the connections that all processes may open."""

    urls: Mapping[str, str] = field(repr=False)
    connections: ConnectionBudget | None = None

    def settings_of(self, service: str) -> dict[str, str]:
        """Gives the settings of a service's process, by name."""
        values = {"POSTGRES": self.urls.get(service, NO_DATABASE)}
        return values if self.connections is None else {**values, "POSTGRES_POOL": str(self.connections.pool)}

    def admit(self, replicas: Mapping[str, int]) -> None:
        """Checks a number of processes of each service. Raises ConfigurationError if they could need too many
        connections."""
        if self.connections is not None:
            self.connections.require_room(sum(replicas[name] for name in self.urls if name in replicas))


def postgres_set(
    cluster: PostgresCluster, credentials: Credentials, connections: ConnectionBudget, context: SupervisorContext
) -> ReplicaSet:
    """Makes the replica set of a PostgreSQL server, whose data directory is made at its first start."""

    async def command() -> Command:
        await asyncio.to_thread(cluster.prepare, credentials.password(SUPERUSER))
        return cluster.command(connections.most)

    spec = ProcessSpec(
        service=POSTGRES,
        instance=POSTGRES,
        kind=ENGINE,
        command=command,
        readiness=PollProbe(cluster.answers, str(cluster.socket)),
        stop_signal=STOP_SIGNAL,
        kill_signal=KILL_SIGNAL,
        shown=News(postgres_news),
    )
    return ReplicaSet(POSTGRES, ENGINE, 1, lambda number: spec, context)


def valkey_set(layout: DataLayout, context: SupervisorContext) -> ReplicaSet:
    """Makes the replica set of the Valkey server of caches. Raises ConfigurationError when none is installed."""
    return _valkey(VALKEY, valkey.CACHE, layout.valkey, layout.valkey_socket, context)


def bus_set(layout: DataLayout, context: SupervisorContext) -> ReplicaSet:
    """Makes the replica set of the Valkey server of events. Raises ConfigurationError when none is installed."""
    return _valkey(BUS, valkey.BUS, layout.bus, layout.bus_socket, context)


def _valkey(name: str, kind: Mapping[str, str], folder: Path, socket: Path, context: SupervisorContext) -> ReplicaSet:
    program = valkey.find_valkey()

    async def command() -> Command:
        return valkey.command(program, folder, socket, kind)

    spec = ProcessSpec(name, name, ENGINE, command, LineProbe(valkey.READY, str(socket)), shown=News(valkey_news))
    return ReplicaSet(name, ENGINE, 1, lambda number: spec, context)


@dataclass(frozen=True, slots=True)
class EngineUrls:
    """Where the engines of a fleet are: the services' databases, Redis for caches, and the broker if there is one."""

    databases: Databases
    redis: str = field(repr=False)
    broker: str | None = field(repr=False)


class Engines:
    """Starts the engines that a fleet needs, or uses the given servers."""

    def __init__(self, settings: DataSettings, layout: DataLayout, context: SupervisorContext, fleet: Fleet) -> None:
        self._settings, self._layout, self._context, self._fleet = settings, layout, context, fleet
        self._credentials = Credentials(layout.credentials)

    async def start(self, services: Sequence[Service], wanted: Mapping[str, int], events: EventSettings) -> EngineUrls:
        """Starts the engines; returns, once they take connections, where they are.

        Raises ConfigurationError, in one line, when an engine does not start or cannot be used.
        """
        names = [service.name for service in services if service.migrations is not None]
        processes = sum(wanted[name] for name in names)
        # All that can be refused is refused before anything starts.
        cluster = None if self._settings.postgres is not None else await self._cluster()
        valkey_ = None if self._settings.redis is not None else valkey_set(self._layout, self._context)
        bus_ = bus_set(self._layout, self._context) if self._needs_bus(events) else None
        found = await asyncio.gather(
            self._databases(cluster, names, processes), self._redis(valkey_), self._broker(bus_, events)
        )
        return EngineUrls(*found)

    async def databases(self, names: Sequence[str]) -> Databases:
        """Starts PostgreSQL alone, for a restore, and makes databases of these services on it."""
        return await self._databases(await self._cluster(), names, len(names))

    async def bus(self) -> Path:
        """Starts the bus alone, for a restore; returns its socket."""
        await self._bring_up(bus_set(self._layout, self._context))
        return self._layout.bus_socket

    async def _cluster(self) -> PostgresCluster:
        user = await asyncio.to_thread(engine_user, self._settings.postgres_user)
        let_pass(self._layout.data, user)
        cluster = await asyncio.to_thread(cluster_in, self._layout.postgres, user)
        cluster = replace(cluster, prepared=self._settings.postgres_prepared)
        await self._end_stray(cluster)
        return cluster

    async def _redis(self, engine: ReplicaSet | None) -> str:
        if engine is None:
            return self._settings.redis or ""
        await self._bring_up(engine)
        return f"unix://{self._layout.valkey_socket}"

    def _needs_bus(self, events: EventSettings) -> bool:
        return events.broker is None or valkey.keeps_data(self._layout.bus)

    async def _broker(self, engine: ReplicaSet | None, events: EventSettings) -> str | None:
        if engine is None:
            return events.url
        await self._bring_up(engine)
        if events.broker is None:
            return bus.url_of(self._layout.bus_socket)
        await self._give_up_bus(engine)
        return events.url

    async def _give_up_bus(self, engine: ReplicaSet) -> None:
        """Ends the bus that the fleet had until now. Raises ConfigurationError while it has something to deliver."""
        count = await bus.unhandled(self._layout.bus_socket)
        if count:
            raise ConfigurationError(
                f"the fleet's own bus, which it had until now, still has {count} events to deliver; start the fleet "
                "once without --broker and SOUK_BROKER, and stop it again, so that they are"
            )
        await engine.end(_BUS_END_LIMIT)
        self._fleet.remove(engine)

    async def _databases(self, cluster: PostgresCluster | None, names: Sequence[str], processes: int) -> Databases:
        pool = self._settings.postgres_pool
        if cluster is None:
            given = self._settings.postgres or ""
            return await given_databases(given, self._credentials, processes, pool, names)
        connections = own_connections(processes, pool)
        await self._bring_up(postgres_set(cluster, self._credentials, connections, self._context))
        return await own_databases(cluster, self._credentials, connections, names)

    async def _end_stray(self, cluster: PostgresCluster) -> None:
        """Ends a server that still works on our data although the record does not name it."""
        process = cluster.process()
        if process is not None:
            await orphans.end([Started(POSTGRES, ENGINE, STOP_SIGNAL, process)])

    async def _bring_up(self, engine: ReplicaSet) -> None:
        self._fleet.add(engine)
        engine.begin()
        await engine.come_up()


async def own_databases(
    cluster: PostgresCluster, credentials: Credentials, connections: ConnectionBudget, services: Sequence[str]
) -> Databases:
    """Provides a database for each of `services` on the fleet's own server, which must be ready."""
    server = PostgresServer(cluster.url(SUPERUSER, credentials.password(SUPERUSER)), credentials, ours=True)
    await server.provide(services)
    return Databases({name: server.service_url(name) for name in services}, connections)


async def given_databases(
    url: str, credentials: Credentials, processes: int, pool: int, services: Sequence[str]
) -> Databases:
    """Provides the databases at a given URL: an administrator's, or a template of the URLs of existing databases.

    Raises ConfigurationError, in one line, when they cannot be made.
    """
    if is_template(url):
        return Databases({name: url.replace(SERVICE_PLACEHOLDER, name) for name in services})
    server = PostgresServer(url, credentials, ours=False)
    most = await server.provide(services)
    return Databases({name: server.service_url(name) for name in services}, shared_connections(processes, pool, most))
