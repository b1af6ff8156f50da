"""The types of a stream's events as the code knows them, and how events of older versions become the present ones.

An event is never changed once it is stored. When its fields change, its type gets a new version, and a function makes
the fields of each version from those of the version before (upcasting). So the rest of the code knows one version.

    _UPCASTS = {("OrderPlaced", 1): lambda fields: {**fields, "channel": "web"}}
    EVENTS = EventTypes(["OrderPlaced", "OrderShipped"], _UPCASTS)

Source: Greg Young, "Versioning in an Event Sourced System", 2017.
"""

from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import Any

from souk.kernel.errors import UnknownEvent

Fields = Mapping[str, Any]
Upcast = Callable[[Fields], Fields]
"""Makes an event's fields of the next version; pure, and it changes nothing of what it is given."""

FIRST = 1
VERSION = "version"
"""The key of an event's metadata that holds its type's version; the first one is not written."""
_NONE: Mapping[tuple[str, int], Upcast] = MappingProxyType({})


class EventTypes:
    """The event types by name, and the upcasts by type and the version that they start from.

    A type's present version is the one behind its last upcast. Raises ValueError when an upcast is missing in between,
    or is of another type.
    """

    def __init__(self, types: Collection[str], upcasts: Mapping[tuple[str, int], Upcast] = _NONE) -> None:
        self._upcasts = dict(upcasts)
        self._present = {kind: FIRST + sum(of == kind for of, _ in upcasts) for kind in types}
        for kind, version in upcasts:
            if not FIRST <= version < self._present.get(kind, 0):
                raise ValueError(f"the upcast of {kind} from version {version} leads nowhere")

    def metadata(self, kind: str) -> Mapping[str, object]:
        """Returns the metadata with which an event of the present version is stored."""
        version = self._present[kind]
        return {} if version == FIRST else {VERSION: version}

    def present(self, kind: str, metadata: Mapping[str, object], fields: Fields) -> Fields:
        """Returns the fields of a stored event as those of the present version.

        Raises UnknownEvent for a type or a version that this code does not know: to leave an event out would make
        something else of the stream.
        """
        if kind not in self._present:
            raise UnknownEvent(f"no event {kind!r} is known here; a newer version has written it")
        version = metadata.get(VERSION, FIRST)
        if not isinstance(version, int) or not FIRST <= version <= self._present[kind]:
            known = self._present[kind]
            raise UnknownEvent(
                f"an event {kind} has version {version}, and here {known} is known; a newer one wrote it"
            )
        for older in range(version, self._present[kind]):
            fields = self._upcasts[kind, older](fields)
        return fields
