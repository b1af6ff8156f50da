"""What an engine's error means: for the statement, for the connection, and for the server behind it.

Each engine has one table of all its codes, `postgres/states.py` and `sqlite/codes.py`; what follows
from a row of it is said here, once.
"""

from dataclasses import dataclass
from enum import Enum

from souk.kernel.errors import StoreCorrupt, StoreError, StoreUnavailable


class StatementFate(Enum):
    """What became of the statement."""

    AGAIN = "nothing has happened, and a new try may succeed"
    UNDONE = "it failed, and the server has undone all of it"
    UNSURE = "whether it was done is not known"


class Reuse(Enum):
    """What becomes of the connection that the error came over."""

    KEEP = "it is as good as before"
    DISCARD = "it is closed"
    DISCARD_ALL = "it is closed, and every other one of the pool, since they lead to the same server"


class Server(Enum):
    """How the server is; the value goes into the message, behind the database's name."""

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
    """One row of a table. `advice` says what an operator does about it, or what the error is about."""

    fate: StatementFate
    reuse: Reuse
    server: Server
    advice: str = ""

    def error(self, name: str, message: str) -> StoreError:
        """The error of Souk's tree for the database `name`; `message` is the engine's own text, which may be empty."""
        if self.server is Server.WELL:
            return StoreError(f"database {name}: {message}")
        kind = StoreCorrupt if self.server is Server.DAMAGED else StoreUnavailable
        line, advice = " ".join(message.split()), f" ({self.advice})" if self.advice else ""
        return kind(f"database {name} {self.server.value}{': ' if line else ''}{line}{advice}")


def undone(about: str, *, reuse: Reuse = Reuse.KEEP) -> Meaning:
    """The statement is at fault, and nobody else."""
    return Meaning(StatementFate.UNDONE, reuse, Server.WELL, about)
