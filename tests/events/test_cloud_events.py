"""Events as CloudEvents: what is written is read back, and what is no event of ours says why."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from soukapi.v1.event_pb2 import Event

from souk.events.cloud_events import NotAnEvent, attributes_of, event_from, from_json, to_json

names = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=20)


@st.composite
def events(draw: st.DrawFn) -> Event:
    event = Event(
        id=draw(names),
        type=draw(names),
        source=draw(names),
        key=draw(st.one_of(st.just(""), names)),
        payload=draw(st.binary(max_size=100)),
        traceparent=draw(st.sampled_from(["", f"00-{'a' * 32}-{'b' * 16}-01"])),
        tracestate=draw(st.sampled_from(["", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"])),
    )
    event.time.FromMicroseconds(draw(st.integers(-(10**15), 10**15)))
    return event


@given(events())
def test_an_event_is_read_as_it_was_written(event: Event) -> None:
    assert event_from(attributes_of(event), event.payload) == event
    assert from_json(to_json(event)) == event


def test_the_attributes_are_those_of_the_standard() -> None:
    event = Event(id="EVT1", type="shop.order.v1.OrderConfirmed", source="order", key="ORD1", payload=b"\x00")
    event.time.FromJsonString("2026-11-29T10:00:00.000001Z")
    assert json.loads(to_json(event)) == {
        "specversion": "1.0",
        "id": "EVT1",
        "source": "order",
        "type": "shop.order.v1.OrderConfirmed",
        "datacontenttype": "application/protobuf",
        "dataschema": "shop.order.v1.OrderConfirmed",
        "subject": "ORD1",
        "partitionkey": "ORD1",
        "time": "2026-11-29T10:00:00.000001Z",
        "data_base64": "AA==",
    }


@given(st.integers(-62_135_596_800, 253_402_300_799), st.sampled_from([0, 1, 1_000, 10**6, 120_000_000, 999_999_999]))
def test_a_time_is_written_as_protobuf_writes_it(seconds: int, nanos: int) -> None:
    event = Event(id="1", source="order", type="t")
    event.time.seconds, event.time.nanos = seconds, nanos
    written = attributes_of(event)
    assert written["time"] == event.time.ToJsonString()
    assert event_from(written, b"") == event


GOOD = {"specversion": "1.0", "id": "1", "source": "order", "type": "t"}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"id": ""}, "'id' is missing"),
        ({"specversion": "0.3"}, "version '0.3'"),
        ({"datacontenttype": "text/plain"}, "'text/plain'"),
        ({"time": "yesterday"}, "'yesterday'"),
        ({"time": "0000-01-01T00:00:00Z"}, "RFC 3339"),
        ({"time": "2026-02-30T00:00:00Z"}, "RFC 3339"),
        ({"time": "2026-11-29T24:00:00Z"}, "RFC 3339"),
        ({"time": "2026-11-29T10:00:60Z"}, "RFC 3339"),
        ({"time": "2026-W48-7T10:00:00Z"}, "RFC 3339"),
    ],
)
def test_what_is_no_event_of_ours_says_why(change: dict[str, str], says: str) -> None:
    with pytest.raises(NotAnEvent, match=says):
        event_from(GOOD | change, b"")


@pytest.mark.parametrize("text", ["", "1", "[]", "{", '{"data_base64": "!"}', '{"data_base64": 1}', "[" * 100_000])
def test_a_text_that_is_no_event_is_refused(text: str) -> None:
    with pytest.raises(NotAnEvent):
        from_json(text)


def test_attributes_of_others_do_no_harm() -> None:
    assert event_from({**GOOD, "comexample": "x"}, b"").id == "1"
