"""The CloudEvents Kafka binding: what is written is read again, and what is no event can still be parked."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from soukapi.v1.event_pb2 import Event

from souk.events.brokers.kafka.messages import Headers, event_of_message, headers_of, size_of, unreadable
from souk.events.cloud_events import NotAnEvent
from tests.properties import examples

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)


def event() -> Event:
    made = Event(
        id="EVT-1", type="test.v1.Happened", source="order", key="ключ", payload=b"\x00\xff", traceparent="00-a"
    )
    made.time.FromMicroseconds(1_764_000_000_123_456)
    return made


def test_the_headers_are_those_of_the_binding() -> None:
    assert dict(headers_of(event())) == {
        "content-type": b"application/protobuf",
        "ce_specversion": b"1.0",
        "ce_id": b"EVT-1",
        "ce_source": b"order",
        "ce_type": b"test.v1.Happened",
        "ce_dataschema": b"test.v1.Happened",
        "ce_subject": "ключ".encode(),
        "ce_partitionkey": "ключ".encode(),
        "ce_time": b"2025-11-24T16:00:00.123456Z",
        "ce_traceparent": b"00-a",
    }


@settings(max_examples=examples(200))
@given(TEXT.filter(bool), TEXT.filter(bool), TEXT, st.binary(max_size=50))
def test_an_event_comes_back_whole(name: str, kind: str, key: str, payload: bytes) -> None:
    sent = Event(id=name, type=kind, source="order", key=key, payload=payload)
    assert event_of_message(headers_of(sent), payload) == sent


def test_other_headers_are_ignored() -> None:
    headers: Headers = [("x-request", b"\xff"), ("ce_sequence", b"7"), *headers_of(event())]
    assert event_of_message(headers, event().payload) == event()


@pytest.mark.parametrize(
    "headers",
    [
        None,
        [],
        [("ce_id", b"1")],
        [("ce_id", b"\xff"), *headers_of(event())[2:]],
        [*headers_of(event()), ("content-type", b"text/plain")],
        [*headers_of(event()), ("ce_specversion", b"2.0")],
        [*headers_of(event()), ("ce_id", None)],
    ],
)
def test_what_is_no_event_is_refused(headers: Headers | None) -> None:
    with pytest.raises(NotAnEvent):
        event_of_message(headers, b"payload")


def test_what_is_no_event_can_be_parked() -> None:
    found = unreadable("souk.order/3/17", b"k\xff", None)
    assert (found.id, found.type, found.key, found.payload) == ("souk.order/3/17", "", "k\\xff", b"")


def test_a_message_is_not_larger_than_is_reckoned() -> None:
    small = Event(id="1", type="t", source="s")
    headers = headers_of(small)
    assert size_of(small, headers) > sum(len(name) + len(value) for name, value in headers)
    large = Event(id="1", type="t", source="s", key="k" * 10, payload=b"x" * 1_000)
    assert size_of(large, headers) == size_of(small, headers) + 1_010
