"""The table of instances of the embedded registry, in memory."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from souk.discovery.registry import Instance
from souk.kernel.errors import ConfigurationError


class TableRegistration:
    """One registration's claim on an id. A later claim takes the id over; the earlier one then has no effect."""

    def __init__(self, table: "Table") -> None:
        self._table = table
        self._entry: _TableEntry | None = None

    def put(self, instance: Instance, healthy: bool) -> None:
        """Registers, changes or confirms the instance. Raises ConfigurationError for another id or service."""
        if self._entry is None:
            self._entry = _TableEntry(instance, healthy)
            self._table.take(self._entry)
        elif (self._entry.instance.service, self._entry.instance.id) != (instance.service, instance.id):
            raise ConfigurationError(f"instance {instance.id!r} cannot be registered in the place of another")
        elif (self._entry.instance, self._entry.healthy) != (instance, healthy):
            self._entry.instance, self._entry.healthy = instance, healthy
            self._table.changed(self._entry)

    def leave(self) -> None:
        """Gives the id up, if this claim still holds it."""
        if self._entry is not None:
            self._table.drop(self._entry)


@dataclass(slots=True, eq=False)
class _TableEntry:
    instance: Instance
    healthy: bool


class Table:
    """Instances by service and id, and the listeners for changes."""

    def __init__(self) -> None:
        self._services: defaultdict[str, dict[str, _TableEntry]] = defaultdict(dict)
        self._listeners: defaultdict[str, list[Callable[[], None]]] = defaultdict(list)

    def instances(self, service: str) -> tuple[Instance, ...]:
        """Returns the healthy instances of a service, in the order of their ids."""
        entries = self._services.get(service, {})
        return tuple(entry.instance for _, entry in sorted(entries.items()) if entry.healthy)

    def services(self) -> tuple[str, ...]:
        """Returns the services that have a registered instance."""
        return tuple(sorted(name for name, entries in self._services.items() if entries))

    @contextmanager
    def listening(self, service: str, listener: Callable[[], None]) -> Iterator[None]:
        """Calls `listener` after each change of the service, while the block runs."""
        self._listeners[service].append(listener)
        try:
            yield
        finally:
            self._listeners[service].remove(listener)
            if not self._listeners[service]:
                del self._listeners[service]

    def take(self, entry: _TableEntry) -> None:
        """Gives an id to a claim, and takes it from an earlier one."""
        self._services[entry.instance.service][entry.instance.id] = entry
        self._notify(entry.instance.service)

    def changed(self, entry: _TableEntry) -> None:
        """Notifies the listeners of a claim's change, if the claim holds the id."""
        if self._is_held(entry):
            self._notify(entry.instance.service)

    def drop(self, entry: _TableEntry) -> None:
        """Frees the id of a claim, if the claim holds it."""
        if self._is_held(entry):
            del self._services[entry.instance.service][entry.instance.id]
            self._notify(entry.instance.service)

    def wake(self) -> None:
        """Calls every listener."""
        for service in list(self._listeners):
            self._notify(service)

    def _is_held(self, entry: _TableEntry) -> bool:
        return self._services.get(entry.instance.service, {}).get(entry.instance.id) is entry

    def _notify(self, service: str) -> None:
        for listener in list(self._listeners.get(service, ())):
            listener()
