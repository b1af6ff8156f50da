"""One consumer of a group: it receives, handles, deletes, and prolongs what is in its hand, for ever."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from functools import partial
from random import Random
from time import monotonic
from typing import TYPE_CHECKING

from soukapi.v1.event_pb2 import Event

from souk.events.broker import BrokerUnavailable, Handle
from souk.events.brokers.sqs.claims import Claim, ClaimsInHand, HeldMessage
from souk.events.brokers.sqs.link import QueueMissing, SqsLink
from souk.events.brokers.sqs.messages import event_of_message, group_of
from souk.events.brokers.sqs.receipts import Receipts
from souk.events.brokers.sqs.topology import SqsTopology
from souk.events.key_lanes import KeyLanes
from souk.kernel.errors import LeaseLost
from souk.resilience.backoff import Backoff
from souk.telemetry.logs import logger

if TYPE_CHECKING:
    from types_aiobotocore_sqs.type_defs import MessageTypeDef

_log = logger("events")
_BACKOFF = Backoff(0.1, 2.0)
_LEAVE = 3.0
"""Seconds for which a consumer that ends says what it has handled, and gives back what it has not."""
_AT_ONCE = 10


class SqsConsumer:
    """Hands the events of a group to `handle`."""

    def __init__(
        self, link: SqsLink, topology: SqsTopology, topic: str, group: str, handle: Handle, types: Collection[str]
    ) -> None:
        self._link, self._topology, self._settings = link, topology, link.settings
        self._topic, self._group = topic, group
        self._handle = handle
        self._lanes = KeyLanes(self._if_sure, types=types)
        self._claims = ClaimsInHand()
        self._queue = ""
        self._any_handled = asyncio.Event()
        self._receiving: asyncio.Task[Sequence[MessageTypeDef]] | None = None
        self._asked = 0.0

    async def run(self) -> None:
        """Consumes until it is cancelled."""
        try:
            async with self._lanes:
                await self._consume_for_ever()
        finally:
            await self._leave()

    async def _consume_for_ever(self) -> None:
        loops = [self._for_ever(step) for step in (self._receive, self._delete, self._prolong)]
        tasks = [asyncio.create_task(loop) for loop in loops]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()

    async def _for_ever(self, step: Callable[[], Awaitable[None]]) -> None:
        tries, random = 0, Random()
        while True:
            try:
                await step()
                tries = 0
            except BrokerUnavailable as error:
                tries += 1
                pause = _BACKOFF.delay(tries, random)
                why = str(error)
                _log.warning("a broker is unavailable", group=self._group, error=why, next_try=round(pause, 3))
                if isinstance(error, QueueMissing):
                    await self._forget_queue()
                await asyncio.sleep(pause)

    async def _receive(self) -> None:
        if not self._queue:
            await self._topology.declare(self._topic, [self._group])
            self._queue = await self._topology.queue(self._topic, self._group)
        await self._lanes.room()
        if self._receiving is None:
            self._receiving = asyncio.create_task(self._messages(), name="messages of a queue")
            self._receiving.add_done_callback(_ended)
        # It outlives this task: the broker may give it messages after that.
        await asyncio.wait([self._receiving])
        found, self._receiving = self._receiving, None
        await self._take(found.result())

    async def _messages(self) -> "Sequence[MessageTypeDef]":
        clients = await self._link.clients()
        self._asked = monotonic()
        answer = await self._link.ask(
            clients.sqs.receive_message(
                QueueUrl=self._queue,
                MaxNumberOfMessages=_AT_ONCE,
                WaitTimeSeconds=self._settings.wait,
                VisibilityTimeout=self._settings.visibility,
                MessageSystemAttributeNames=["MessageGroupId"],
            ),
            self._settings.patience + self._settings.wait,
        )
        return answer.get("Messages", [])

    async def _take(self, messages: "Sequence[MessageTypeDef]") -> None:
        """Hands messages to the lanes. What was in hand of their groups is not this consumer's any more."""
        found = [(message, event_of_message(message)) for message in messages]
        claims = self._claim(messages, [event for _, event in found])
        over = [claim.group for claim in claims.values() if self._claims.add(claim) is not None]
        if over:
            await self._lanes.take_back(over)
        waiting = {group: iter(claim.held) for group, claim in claims.items()}
        for message, event in found:
            claim = claims[group_of(message)]
            if self._claims.holds(claim):
                held = next(waiting[claim.group])
                self._lanes.submit(event, partial(self._done, held), tag=claim.group)

    def _claim(self, messages: "Sequence[MessageTypeDef]", events: Sequence[Event]) -> dict[str, Claim]:
        claims: dict[str, Claim] = {}
        until = self._asked + self._settings.visibility
        for message, event in zip(messages, events, strict=True):
            claim = claims.setdefault(group_of(message), Claim(group_of(message)))
            claim.held.append(HeldMessage(message["ReceiptHandle"], event.id, until))
        return claims

    def _done(self, held: HeldMessage) -> None:
        held.handled = True
        self._any_handled.set()

    async def _delete(self) -> None:
        await self._any_handled.wait()
        self._any_handled.clear()
        try:
            await self._give_up(await self._receipts().delete())
        except BaseException:
            self._any_handled.set()
            raise

    async def _prolong(self) -> None:
        refused: list[Claim] = []
        try:
            if self._queue:
                refused = await self._receipts().prolong()
        finally:
            now = monotonic()
            await self._give_up([*refused, *(claim for claim in self._claims if not claim.is_sure(now))])
        # Not before the work: after a failure it is done again at once.
        await asyncio.sleep(self._settings.visibility / 4)

    async def _give_up(self, lost: Sequence[Claim]) -> None:
        """Ends the handlers of what another consumer may have by now."""
        mine = [claim for claim in dict.fromkeys(lost) if self._claims.holds(claim)]
        for claim in mine:
            self._claims.remove(claim)
        if mine:
            _log.warning("another consumer may have events that were in hand", group=self._group, keys=len(mine))
            await self._lanes.take_back([claim.group for claim in mine])

    async def _forget_queue(self) -> None:
        if self._queue:
            self._queue = ""
            _log.error(
                "a queue was deleted; it is made again, without its events", group=self._group, topic=self._topic
            )
            await self._give_up(list(self._claims))

    async def _leave(self) -> None:
        """Deletes what was handled and gives back the rest, and what comes for the last request."""
        receiving = self._receiving
        try:
            if self._queue:
                async with asyncio.timeout(self._settings.wait + _LEAVE):
                    await self._receipts().delete()
                    await self._receipts().give_back()
                    if receiving is not None:
                        messages = await receiving
                        for claim in self._claim(messages, [event_of_message(one) for one in messages]).values():
                            self._claims.add(claim)
                        await self._receipts().give_back()
        except (BrokerUnavailable, TimeoutError):
            _log.debug("the broker was lost before all was given back", group=self._group)
        finally:
            if receiving is not None:
                receiving.cancel()

    def _receipts(self) -> Receipts:
        return Receipts(self._link, self._claims, self._queue)

    async def _if_sure(self, event: Event) -> None:
        """Handles an event, unless this consumer stood still so long that another may have it by now."""
        if not self._claims.is_sure(event.id, monotonic()):
            raise LeaseLost("the broker may have given this event to another consumer")
        await self._handle(event)


def _ended(receiving: "asyncio.Task[Sequence[MessageTypeDef]]") -> None:
    """Takes the error of a request for messages that nobody waits for any more: there was nothing to give back."""
    if not receiving.cancelled():
        receiving.exception()
