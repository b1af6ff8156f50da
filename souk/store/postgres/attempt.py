"""How one try of a transaction runs, and how it ends when it has to be run again."""

from dataclasses import dataclass, field
from typing import TypeVar

from souk.kernel.errors import StoreError
from souk.store.database import Work
from souk.store.postgres.transaction import PostgresTransaction

T = TypeVar("T")

# Without READ WRITE: a server whose operator has made it read-only by default must stay read-only.
_BEGIN = "BEGIN ISOLATION LEVEL SERIALIZABLE"
_BEGIN_GUARDED = "BEGIN ISOLATION LEVEL REPEATABLE READ"
COMMIT = "COMMIT"


class Collision(Exception):
    """The transaction collided with another one and may be run again; `cause` is the driver's error."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__(str(cause))
        self.cause = cause


@dataclass(slots=True)
class Attempt:
    """How the next try of a transaction runs, by what earlier tries have shown.

    `locks` are the advisory locks to take before it begins; `assuming` tells whether it may assume `expect_rows`.
    `ending` is the statement that ends it: COMMIT, or one that prepares it. `grouped` tells whether it may be
    committed with others, `together` how many were, and `collisions` how often it has run again after a collision.
    """

    guarded: bool
    ending: str = COMMIT
    locks: set[str] = field(default_factory=set)
    assuming: bool = True
    grouped: bool = False
    collisions: int = 0
    together: int = 0

    @property
    def begin(self) -> str:
        return _BEGIN_GUARDED if self.guarded else _BEGIN

    @property
    def prepares(self) -> bool:
        """Whether it is prepared instead of committed."""
        return self.ending != COMMIT

    async def whole(self, work: Work[T], tx: PostgresTransaction) -> T:
        """Runs the work, then sends its write batch, unless that is the whole transaction and may commit by itself."""
        result = await work(tx)
        if tx.begun or not self.guarded or self.prepares:
            await tx.flush()
        self.require_preparable(tx)
        return result

    def require_preparable(self, tx: PostgresTransaction) -> None:
        """Raises StoreError if the work asked for what would be in force before the prepared transaction commits."""
        if self.prepares and (self.locks or tx.channels or tx.callbacks):
            raise StoreError("a transaction to be prepared may not lock by name, notify or wait for its commit")
