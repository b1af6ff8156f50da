"""The example of docs/sagas.md: a consumer delivers a message in the transaction of its inbox, in any replica."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from google.protobuf.wrappers_pb2 import StringValue
from soukapi.v1.event_pb2 import DeliverRequest, Event

from souk.events.consumer import EventSinkServicer, Handler
from souk.kernel.clock import SystemClock
from souk.kernel.context import CallContext, use
from souk.kernel.errors import StoreUnavailable
from souk.saga.runner import SagaRunner, SagaSettings
from souk.sdk import Inbox, MessageFate, SagaMessage, Transaction
from souk.store.postgres.database import PostgresDatabase
from souk.testing.postgres import TemporaryPostgres
from souk.testing.saga_suite import PATIENCE, Shop, violations

CLOCK = SystemClock()
SETTINGS = SagaSettings(lease=0.3, claim=0.02, poll=0.02)
APPROVALS = "shop/approvals"


@pytest.fixture(params=["sqlite", "postgres"])
async def shop(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Shop]:
    database = None
    if request.param == "postgres":
        server: TemporaryPostgres = request.getfixturevalue("postgres_server")
        database = await PostgresDatabase.open(await server.create_migrated())
    shop = await Shop.open(tmp_path, database=database, approval=3_600.0)
    yield shop
    await shop.close()


def approvals(shop: Shop, runner: SagaRunner, fates: list[MessageFate], lost: list[str]) -> Handler:
    """The consumer of a replica; the first answer of each of the `lost` events is lost after its commit."""
    inbox = Inbox()

    async def handle(event: Event) -> None:
        async def work(tx: Transaction) -> MessageFate | None:
            if not await inbox.first_time(tx, APPROVALS, event.id):
                return None
            message = SagaMessage("approval", event.key, event.id, StringValue(value="yes").SerializeToString())
            return (await runner.deliver(tx, message)).fate

        if (fate := await shop.database.run(work)) is not None:
            fates.append(fate)
        if event.id in lost:
            lost.remove(event.id)
            raise StoreUnavailable("the answer is lost")

    return handle


async def send(sink: EventSinkServicer, *events: Event) -> set[str]:
    """Delivers events; returns the ids of those that were handled."""
    with use(CallContext(deadline=CLOCK.monotonic() + PATIENCE)):
        response = await sink.Deliver(DeliverRequest(consumer=APPROVALS, events=events), None)  # type: ignore[arg-type]
    return {one.event_id for one in response.results if not one.failure}


async def test_each_approval_is_taken_once_whatever_is_sent_again_and_to_whom(shop: Shop) -> None:
    runners = [SagaRunner(shop.database, [shop.saga()], CLOCK, name, SETTINGS, service="shop") for name in "AB"]
    fates: list[MessageFate] = []
    events = [Event(id=f"E-{number}", key=f"O-{number}") for number in range(10)]
    lost = [event.id for event in events[::2]]
    sinks = [EventSinkServicer({APPROVALS: approvals(shop, runner, fates, lost)}) for runner in runners]
    tasks = [asyncio.create_task(runner.run()) for runner in runners]
    assert await send(sinks[0], events[1]) == {"E-1"}
    assert fates == [MessageFate.KEPT]
    refs = [await shop.start(runners[0], event.key) for event in events]
    waiting = {event.id: event for event in events}
    async with asyncio.timeout(6 * PATIENCE):
        while waiting:
            for sink in sinks:
                for handled in await send(sink, *waiting.values()):
                    waiting.pop(handled, None)
    for ref in refs:
        progress = await runners[1].wait_ended(ref, CLOCK.monotonic() + 3 * PATIENCE)
        assert await violations(shop, progress, ref.subject) == []
        assert "approved: yes" in await shop.story(ref.subject)
    assert lost == []
    assert fates == [MessageFate.KEPT, *[MessageFate.TAKEN] * 9]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
