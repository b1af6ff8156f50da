"""The processes that work on top of the engines: companions, services, gateways."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from souk.admin.process_status import COMPANION, GATEWAY, SERVICE
from souk.runtime.config.settings import Settings
from souk.runtime.data.layout import Places
from souk.runtime.process.command import Command
from souk.runtime.service import App
from souk.supervisor.backing_processes import Databases
from souk.supervisor.fleet import Fleet
from souk.supervisor.launch import Commands, Placed, Surroundings, placed
from souk.supervisor.output.log_filter import without
from souk.supervisor.output.readiness import ready_line
from souk.supervisor.process_spec import Blueprint, Ground
from souk.supervisor.replica_set import Part


@dataclass(frozen=True, slots=True)
class Grounds:
    """What the staff stands on: where its databases, Redis, its registry and the public socket are, and the
    commands that start it."""

    databases: Databases
    redis: str = field(repr=False)
    registry: str = field(repr=False)
    public: int
    commands: Commands


class Staff:
    """Makes the parts of a fleet that are processes of the app, and starts them."""

    def __init__(
        self,
        app: App,
        settings: Settings,
        inherited: Mapping[str, str],
        places: Places,
        ground: Ground,
        fleet: Fleet,
        grounds: Grounds,
    ) -> None:
        self._app, self._places, self._ground, self._fleet, self._grounds = app, places, ground, fleet, grounds
        self._companions = placed(app.companions, settings, places)
        given = {name: text for one in self._companions for name, text in one.settings(places.data).items()}
        self._around = Surroundings(inherited, settings, places.data, grounds.registry, grounds.redis, given)

    async def start(self, wanted: Mapping[str, int]) -> None:
        """Starts so many of each, and returns when all of them take calls, however long it takes.

        The gateways come last, so that who is served finds the services: but not later than each has tried once.
        """
        parts = [
            *(self._companion(one) for one in self._companions),
            *(self._service(service.name, wanted[service.name]) for service in self._app.services),
        ]
        gateway = self._gateway(wanted[GATEWAY])
        for part in (*parts, gateway):
            self._fleet.add(part)
        for part in parts:
            part.begin()
        await asyncio.gather(*(part.attempted() for part in parts))
        gateway.begin()
        await asyncio.gather(*(part.ready() for part in (*parts, gateway)))

    def _companion(self, one: Placed) -> Part:
        name = one.companion.name

        async def command() -> Command:
            one.socket.unlink(missing_ok=True)
            return one.command(self._places.data, self._around.inherited)

        # Where it listens is told with its state.
        shown = without(bytes(one.socket))
        blueprint = Blueprint(name, name, COMPANION, command, one.readiness, shown=shown)
        return Part(name, COMPANION, 1, lambda number: blueprint, self._ground)

    def _service(self, name: str, replicas: int) -> Part:
        own = {**self._grounds.databases.settings_of(name), **self._around.where_services_listen}
        return Part(name, SERVICE, replicas, lambda number: self._serving(name, SERVICE, number, own), self._ground)

    def _gateway(self, replicas: int) -> Part:
        public = self._grounds.public
        own = {"LISTEN_FD": str(public)}
        return Part(
            GATEWAY,
            GATEWAY,
            replicas,
            lambda number: self._serving(GATEWAY, GATEWAY, number, own, public),
            self._ground,
        )

    def _serving(self, name: str, kind: str, number: int, own: Mapping[str, str], *descriptors: int) -> Blueprint:
        instance = f"{name}-{number}"
        control = self._places.of(instance)
        environment = self._around.of(instance, control, own)

        async def command() -> Command:
            control.unlink(missing_ok=True)
            return self._grounds.commands.of(name, environment, *descriptors)

        return Blueprint(name, instance, kind, command, ready_line(name), control=str(control))
