"""The AsyncAPI document says what is sent and heard, and nothing that is not so."""

from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from shop.order.v1.order_pb2 import Order, OrderConfirmed
from soukapi.v1.event_pb2 import Event

from marketplace.app.app import app
from souk.descriptors.asyncapi.document import asyncapi_of
from souk.descriptors.asyncapi.headers import headers_of
from souk.events.cloud_events import attributes_of
from souk.runtime.service import speakers_of

DOCUMENT = asyncapi_of(speakers_of(app.services), "Souk")


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"]
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from references(one)


def found(reference: str) -> Any:
    place: Any = DOCUMENT
    for name in reference.removeprefix("#/").split("/"):
        place = place[name]
    return place


def test_each_reference_leads_somewhere() -> None:
    assert all(found(reference) for reference in references(DOCUMENT))


def test_a_channel_has_the_events_of_a_service() -> None:
    assert set(DOCUMENT["channels"]) == {
        f"shop.{name}" for name in ("inventory", "order", "payment", "product", "user")
    }
    assert DOCUMENT["channels"]["shop.payment"]["messages"].keys() == {"shop.payment.v1.PaymentRefunded"}


def test_each_event_is_sent_by_its_service_and_each_subscription_is_an_operation() -> None:
    operations = DOCUMENT["operations"]
    assert {name for name in operations if operations[name]["action"] == "send"} == {
        f"{name}.send" for name in ("inventory", "order", "payment", "product", "user")
    }
    heard = {
        (operation["x-service"], operation["x-consumer"], reference["$ref"].rpartition("/")[2])
        for operation in operations.values()
        if operation["action"] == "receive"
        for reference in operation["messages"]
    }
    assert heard == {
        (service.name, one.consumer, name)
        for service in app.services
        for one in service.subscriptions
        for name in one.types
    }


def test_a_message_states_its_contract() -> None:
    message = DOCUMENT["components"]["messages"]["shop.order.v1.OrderConfirmed"]
    assert (message["x-key"], message["x-retention-seconds"]) == ("order.id", 604_800)
    assert message["x-needs"] == ["at-least-once", "order-per-key"]
    assert message["x-subscribers"] == ["analytics", "notification"]
    assert message["payload"] == {"$ref": "#/components/schemas/OrderConfirmed"}


@pytest.mark.parametrize("traceparent", ["", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"])
def test_the_headers_are_the_attributes_of_an_event(traceparent: str) -> None:
    payload = OrderConfirmed(order=Order(id="ORD-1")).SerializeToString()
    event = Event(id="EVT-1", type="a.v1.B", source="a", key="K", payload=payload, traceparent=traceparent)
    event.tracestate = "rojo=00f067aa0ba902b7" if traceparent else ""
    event.time.FromJsonString("2026-01-01T00:00:00Z")
    schema = headers_of("a.v1.B", "a")
    attributes = attributes_of(event)
    jsonschema.validate(attributes, {**schema, "additionalProperties": False})
    assert set(schema["properties"]) - set(attributes) == (set() if traceparent else {"traceparent", "tracestate"})
