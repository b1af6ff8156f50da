"""Where in the event log a reader is that goes through it order by order."""

from dataclasses import dataclass

from souk.sdk import Database, EventStore


@dataclass(frozen=True, slots=True)
class LogPosition:
    """The order behind which to go on, and the event up to which there were orders when the first was read.

    Orders that came later are not looked for, so that the end is reached however fast they come.
    """

    last_event: int
    order_id: str = ""

    def __str__(self) -> str:
        return f"{self.last_event} {self.order_id}"

    @classmethod
    async def of(cls, text: str, database: Database, log: EventStore) -> "LogPosition":
        """Reads what `str` made; "" is the beginning of the log as it is now."""
        if not text:
            return cls(await database.read(log.last_position, single=True))
        last_event, _, order_id = text.partition(" ")
        return cls(int(last_event), order_id)
