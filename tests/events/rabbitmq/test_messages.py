"""Events as messages of RabbitMQ, and what a message may be that is none."""

from collections.abc import Mapping
from typing import cast

import pytest
from aiormq import spec
from aiormq.abc import AbstractChannel, DeliveredMessage, FieldTable
from pamqp.header import ContentHeader

from souk.events.brokers.rabbitmq.messages import event_of_message, poison, properties_of, unreadable
from souk.events.brokers.rabbitmq.topology import arguments_of
from souk.events.cloud_events import NotAnEvent
from souk.testing.brokers.harness import event


def message(properties: spec.Basic.Properties, body: bytes) -> DeliveredMessage:
    header = ContentHeader(body_size=len(body), properties=properties)
    return DeliveredMessage(spec.Basic.Deliver("tag", 1), header, body, cast(AbstractChannel, None))


def test_an_event_comes_back_as_it_was() -> None:
    sent = event("ключ", 7, size=100)
    properties = properties_of(sent)
    assert properties.content_type == "application/protobuf"
    assert properties.delivery_mode == 2
    assert (properties.headers or {})["cloudEvents:id"] == sent.id
    assert event_of_message(message(properties, sent.payload)) == sent


def test_the_other_prefix_of_the_binding_is_read() -> None:
    sent = event("a", 7)
    properties = properties_of(sent)
    headers = {name.replace(":", "_"): value for name, value in (properties.headers or {}).items()}
    properties.headers = headers
    assert event_of_message(message(properties, sent.payload)) == sent


@pytest.mark.parametrize(
    ("headers", "says"),
    [
        ({}, "'specversion' is missing"),
        ({"cloudEvents:id": 7}, "is no text"),
        ({"cloudEvents:id": b"\xff"}, "is no text"),
    ],
)
def test_what_is_no_event_is_named(headers: Mapping[str, object], says: str) -> None:
    found = message(spec.Basic.Properties(headers=cast(FieldTable, headers)), b"body")
    with pytest.raises(NotAnEvent, match=says):
        event_of_message(found)
    first, second = unreadable("queue", found), unreadable("queue", found)
    assert first == second
    assert (first.type, first.payload) == ("", b"body")
    assert first.id.startswith("queue/")


def test_what_no_message_takes_is_poison() -> None:
    assert not poison(event("a", 1, size=1_000), 1_000)
    assert "1001 octets" in poison(event("a", 1, size=1_001), 1_000)
    assert "attributes" in poison(event("ж" * 30_000, 1), 1_000)


def test_only_a_broker_with_a_limit_of_deliveries_is_told_that_there_is_none() -> None:
    assert "x-delivery-limit" not in arguments_of((3, 10, 8))
    assert arguments_of((4, 0, 1))["x-delivery-limit"] == -1
