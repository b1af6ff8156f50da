"""Counts the requests that a process has answered, and those that it is working on."""


class Traffic:
    """Counts the blocks that run as `with traffic:`. Cheap enough for every call, and for one thread only."""

    __slots__ = ("running", "served")

    def __init__(self) -> None:
        self.running = 0
        self.served = 0

    @property
    def begun(self) -> int:
        """How many blocks have begun."""
        return self.running + self.served

    def __enter__(self) -> None:
        self.running += 1

    def __exit__(self, *error: object) -> None:
        self.running -= 1
        self.served += 1
