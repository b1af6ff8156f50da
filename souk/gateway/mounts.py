"""What stands beside the API: an application of its own, for all paths below one.

The gateway hands it every request there, before the routes file and the contracts are looked at. It answers like any
endpoint, so that its requests are logged, traced and sent like others.
"""

from souk.gateway.endpoint import Endpoint, Handle


class Mounts:
    """The applications by the path that they are mounted at, such as /console."""

    def __init__(self) -> None:
        self._endpoints: dict[str, Endpoint] = {}

    def add(self, path: str, handle: Handle) -> None:
        """Mounts an application at a path of one segment, and at all paths below it."""
        self._endpoints[path] = Endpoint(path, handle)

    def find(self, path: str) -> Endpoint | None:
        """Returns the application that a path belongs to; None if it belongs to none."""
        if not self._endpoints:
            return None
        end = path.find("/", 1)
        return self._endpoints.get(path if end < 0 else path[:end])
