"""What an engine's error means: for the statement, for the connection, and for the server behind it.

Each engine has one table of all its codes, `postgres/states.py` and `sqlite/codes.py`. This module has the types
of the tables' rows, and turns a row into an error of Souk.
"""

from dataclasses import dataclass
from enum import Enum

from souk.kernel.errors import StoreCorrupt, StoreError, StoreUnavailable


class StatementFate(Enum):
    """What happened to the statement."""

    AGAIN = "nothing has happened, and a new try may succeed"
    UNDONE = "it failed, and the server has undone all of it"
    UNSURE = "whether it was done is not known"


class Reuse(Enum):
    """What happens to the connection that reported the error."""

    KEEP = "it is as good as before"
    DISCARD = "it is closed"
    DISCARD_ALL = "it is closed, and every other one of the pool, since they lead to the same server"


class Server(Enum):
    """The state of the server; the value follows the database's name in the message."""

    WELL = "is well: the statement is wrong, or the data is other than it believes"
    BUSY = "is too busy"
    AWAY = "cannot be reached"
    READ_ONLY = "is read-only"
    REFUSES = "refuses the connection"
    DENIES = "denies the right to do that"
    FULL = "is out of room"
    DAMAGED = "is damaged"


@dataclass(frozen=True, slots=True)
class Meaning:
    """One row of a table. `advice` tells an operator what to do, or what the error is about."""

    fate: StatementFate
    reuse: Reuse
    server: Server
    advice: str = ""

    def error(self, name: str, message: str) -> StoreError:
        """Makes Souk's error for the database `name`; `message` is the engine's own text, which may be empty."""
        if self.server is Server.WELL:
            return StoreError(f"database {name}: {message}")
        kind = StoreCorrupt if self.server is Server.DAMAGED else StoreUnavailable
        line, advice = " ".join(message.split()), f" ({self.advice})" if self.advice else ""
        return kind(f"database {name} {self.server.value}{': ' if line else ''}{line}{advice}")


def undone(about: str, *, reuse: Reuse = Reuse.KEEP) -> Meaning:
    """Makes the meaning of an error that is the statement's fault: the server is well and has undone the statement."""
    return Meaning(StatementFate.UNDONE, reuse, Server.WELL, about)
