"""The pages of parked work, over a real outbox: events are sent again, edited or dropped; what was written stays."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from shop.order.v1 import order_events_pb2

from souk.admin.servicers import parked_work
from souk.admin.servicers.parked_work import ProcessParkedWork
from souk.admin.unix_socket import serving
from souk.console.page import PageRefused
from souk.events import parked_store
from souk.events.causes import Cause
from souk.events.envelope import Event
from souk.kernel.clock import SystemClock
from souk.kernel.errors import ConfigurationError
from souk.runtime.calls.backlog import BrokerCount
from souk.runtime.data.layout import DataLayout
from souk.testing.saga_suite import Shop
from tests.console.conftest import Pages

EVIL = '<script>alert("x")</script>'
EVENT = "EVT-1"
AT_BROKER = (
    BrokerCount("mail/all", "souk.order", 0, "counted by letters"),
    BrokerCount("mail/all", "souk.user", None, "the broker does not say it: away"),
)


@pytest.fixture
async def parked(tmp_path: Path, shop: Shop) -> AsyncIterator[Pages]:
    """The pages, with an event that two consumers have parked."""
    payload = order_events_pb2.OrderConfirmed(order={"id": "ORD-1"}, user_id="U-1").SerializeToString()
    event = Event(id=EVENT, type="shop.order.v1.OrderConfirmed", source="order", key="ORD-1", payload=payload)
    event.time.FromMicroseconds(1)

    async def park(tx: parked_store.Transaction) -> None:
        for consumer in ("notification/mails", "analytics/figures"):
            await parked_store.park(tx, event, consumer, Cause(EVIL, "d1", "x.py:1"), 5)

    await shop.database.run(park)
    layout = DataLayout(tmp_path)
    layout.prepare_run()
    servicer = ProcessParkedWork({"order": shop.database}, lambda: AT_BROKER)
    async with serving(layout.control, {parked_work.CONTRACT: servicer}, SystemClock()):
        yield Pages(tmp_path)


def form(decision: str, why: str = "ticket 1", **more: str) -> dict[str, list[str]]:
    return {"decision": [decision], "why": [why], **{name: [value] for name, value in more.items()}}


async def test_what_is_parked_is_listed_and_shown_as_text(parked: Pages) -> None:
    listed = await parked.ask("parked")
    assert [item["consumer"] for item in listed.document["items"]] == ["analytics/figures", "notification/mails"]
    for shown in (listed, await parked.ask(f"parked/{EVENT}")):
        page = parked.html(shown)
        assert "&lt;script&gt;" in page
        assert "<script>" not in page
    lag = await parked.ask("events")
    assert {one["consumer"]: one["parked"] for one in lag.document["consumers"]} == {
        "analytics/figures": "1",
        "notification/mails": "1",
    }
    at_broker = [(one["topic"], one["events"], one["note"]) for one in lag.document["brokers"]]
    assert at_broker == [(one.topic, one.events, one.note) for one in AT_BROKER]
    assert "mail/all souk.user not known the broker does not say it: away" in parked.text(lag)


async def test_an_event_is_edited_for_one_consumer_and_dropped_for_another(parked: Pages) -> None:
    path = f"parked/{EVENT}"
    new = json.dumps({"order": {"id": "ORD-1"}, "user_id": "U-2"})
    shown = await parked.ask(path, form("edit", payload=new, consumer="analytics/figures"))
    assert shown.notice.startswith("For one consumer, it will be sent again with the new payload")
    dropped = await parked.ask(path, form("discard", EVIL, consumer="notification/mails"))
    assert not dropped.failed
    assert dropped.document["parked"] == []
    decided = [(one["decision"], one["by"], one["why"]) for one in dropped.document["decisions"]]
    assert sorted(decided) == [("discarded", "U-admin", EVIL), ("edited", "U-admin", "ticket 1")]
    assert dropped.document["payload"]["user_id"] == "U-1", "the event stays as it was published"
    again = await parked.ask(path, form("replay"))
    assert again.failed
    assert "not parked any more" in again.notice


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        ("{", "this is no shop.order.v1.OrderConfirmed"),
        ('{"colour": "red"}', "colour"),
        ('{"order": {"id": "ORD-2"}}', "must stay 'ORD-1'"),
    ],
)
async def test_a_wrong_payload_changes_nothing_and_is_not_lost(parked: Pages, payload: str, why: str) -> None:
    shown = await parked.ask(f"parked/{EVENT}", form("edit", payload=payload))
    assert shown.failed
    assert why in shown.notice
    assert shown.values["payload"] == payload
    assert len(shown.document["parked"]) == 2


async def test_several_are_sent_again_with_one_reason(parked: Pages) -> None:
    with pytest.raises(PageRefused, match="say why"):
        await parked.ask("parked", {"id": [f"{EVENT} analytics/figures"]})
    rows = [f"{EVENT} analytics/figures", "EVT-9 analytics/figures", f"{EVENT} notification/mails"]
    shown = await parked.ask("parked", {"id": rows, "why": ["fixed"]})
    assert shown.document["items"] == []
    assert shown.notice == "2 will be tried again; 1 not, the first: EVT-9: nothing parked has this id"


async def test_a_read_that_fails_says_so(parked: Pages, shop: Shop) -> None:
    await shop.database.run(lambda tx: tx.execute("ALTER TABLE souk_outbox_delivery RENAME TO gone"))
    for path in ("parked", "events", f"parked/{EVENT}"):
        with pytest.raises(ConfigurationError):
            await parked.ask(path)
