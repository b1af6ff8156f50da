"""What Order has recorded of an order: its events, and those that were published about it."""

from collections.abc import Sequence

import orjson

from marketplace.order.domain.order import Order, apply
from marketplace.order.events import event_of
from marketplace.order.messages import published
from souk.sdk import EventStore, Recorded, RecordQuery, Transaction

MOST_TEXT = 400


async def records(tx: Transaction, query: RecordQuery) -> Sequence[Recorded]:
    """Returns the events of an order; `query.subject` is its id. Events hold references, and no personal data."""
    found: list[Recorded] = []
    after = Order(query.subject)
    for row in await EventStore().load(tx, query.subject):
        before, after = after, apply(after, event_of(row), row.time)
        facts = orjson.loads(row.payload)
        detail = ", ".join(f"{name}: {_text(value)}" for name, value in facts.items() if value not in ("", None, []))
        about = ". ".join(filter(None, (after.status.value, detail)))[:MOST_TEXT]
        found.append(Recorded(row.time, "event", row.type, about, state_of=query.subject))
        found += [
            Recorded(row.time, "outbox", message.DESCRIPTOR.name, f"published as {event_id}", event_id)
            for event_id, message in published(before, after)
        ]
    return found


def _text(value: object) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()
