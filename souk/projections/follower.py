"""Follows the event store of a service: every event once, those of a stream in their order, and none is missed.

A position is given when an event is written, so positions become visible out of order: before one that is seen there
may be another whose transaction is still open. A follower notes the greatest position, waits until every transaction
that is open then has ended, and reads up to there. Its own position commits with what it does about the events.

Source: Marten, "high water detection", for the problem; here the database is asked which transactions are open.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from souk.store.database import Database, Transaction
from souk.store.event_store import EventStore, RecordedEvent

AT_ONCE = 100
"""Events of one transaction."""

Handle = Callable[[Transaction, Sequence[RecordedEvent]], Awaitable[None]]
"""What is done about events, in the transaction that records that it was done. It may be called again for them, until
that transaction commits."""


class EventFollower:
    """A follower of that name. In several processes it shares the work: each event is handled in one of them."""

    def __init__(self, name: str, database: Database, handle: Handle) -> None:
        self._name, self._database, self._handle = name, database, handle
        self._log = EventStore()

    async def run(self, every: float, rest: float) -> None:
        """Follows until it is cancelled; looks for new events every so many seconds.

        While there are more it rests `rest` seconds for each second that a step took.
        """
        time = asyncio.get_running_loop().time
        while True:
            began = time()
            more = await self.step()
            await asyncio.sleep((time() - began) * rest if more else every)

    async def step(self) -> bool:
        """Handles the next events; returns whether there may be more."""
        position = await self._database.read(self._position, single=True)
        horizon = await self._database.read(self._log.last_position, single=True)
        if horizon <= position:
            return False
        await self._database.outlast_open(_nothing)
        work = partial(self._advance, position=position, horizon=horizon)
        return await self._database.run(work, guarded=True)

    async def _advance(self, tx: Transaction, position: int, horizon: int) -> bool:
        events = await self._log.read_all(tx, after=position, up_to=horizon, limit=AT_ONCE)
        reached = events[-1].position if len(events) == AT_ONCE else horizon
        moved = await tx.execute(
            "INSERT INTO souk_position (follower, position) VALUES ($1, $2) ON CONFLICT (follower) DO UPDATE"
            " SET position = excluded.position WHERE souk_position.position = $3",
            *(self._name, reached, position),
        )
        # Otherwise another process has handled them.
        if moved and events:
            await self._handle(tx, events)
        return True

    async def _position(self, tx: Transaction) -> int:
        row = await tx.fetch_one("SELECT position FROM souk_position WHERE follower = $1", self._name)
        return 0 if row is None else int(row["position"])


async def _nothing() -> None:
    """Does nothing while open transactions end."""
