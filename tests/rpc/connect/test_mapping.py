"""Codes, statuses and metadata as Connect writes them: each arrives as it was."""

import grpc
import pytest
from google.protobuf.any_pb2 import Any
from google.rpc import error_details_pb2, status_pb2
from hypothesis import given
from hypothesis import strategies as st

from souk.rpc.call import Status
from souk.rpc.connect import errors
from souk.rpc.connect.headers import lines, pairs_of, split
from souk.rpc.metadata import InvalidMetadata
from souk.rpc.status import STATUS_KEY

FAILURES = [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK]

names = st.text("abcz09_.-", min_size=1, max_size=12).filter(lambda name: not name.startswith("souk-"))
texts = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=40)
pairs = st.one_of(
    st.tuples(names.filter(lambda name: not name.endswith("-bin")), texts),
    st.tuples(names.map(lambda name: f"{name}-bin"), st.binary(max_size=40)),
    st.tuples(st.sampled_from(["host", "content-length", "connection", "connect-x", "trailer-x", "expect"]), texts),
)
statuses = st.builds(
    status_pb2.Status,
    code=st.integers(0, 20),
    message=st.text(max_size=20),
    details=st.lists(
        st.builds(
            Any,
            type_url=st.sampled_from(["type.googleapis.com/google.rpc.ErrorInfo", "other.example/x", ""]),
            value=st.binary(max_size=20),
        ),
        max_size=3,
    ),
)


def received(block: str) -> list[tuple[bytes, bytes]]:
    """Header lines as a parser gives them; it leaves the space at the end of values."""
    split_lines = [line.split(": ", 1) for line in block.split("\r\n")[:-1]]
    return [(name.encode(), value.lstrip(" ").encode()) for name, value in split_lines]


@given(st.lists(pairs, max_size=6))
def test_metadata_arrives_as_it_was(given_pairs: list[tuple[str, str | bytes]]) -> None:
    block = lines(tuple(given_pairs))
    assert pairs_of(received(block)) == tuple(given_pairs)


@given(st.lists(pairs, max_size=4), st.lists(pairs, max_size=4))
def test_both_directions_of_an_answer_keep_apart(
    before: list[tuple[str, str | bytes]], after: list[tuple[str, str | bytes]]
) -> None:
    block = lines(tuple(before)) + lines(tuple(after), "trailer-")
    assert split(received(block)) == (tuple(before), tuple(after))


@pytest.mark.parametrize("value", ["a\r\nb: c", "a\nb", "\n"])
def test_a_value_cannot_begin_another_header(value: str) -> None:
    with pytest.raises(InvalidMetadata):
        lines((("a", value),))


def test_every_code_has_a_name_and_a_status() -> None:
    assert set(errors.HTTP_STATUS) == set(errors.NAMES) == set(FAILURES)
    assert {errors.BY_NAME[name] for name in errors.NAMES.values()} == set(FAILURES)
    assert errors.NAMES[grpc.StatusCode.CANCELLED] == "canceled"
    assert (errors.inferred(404), errors.inferred(418)) == (grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.UNKNOWN)


@given(st.sampled_from(FAILURES), st.text(st.characters(exclude_categories=["Cs"]), max_size=20), statuses)
def test_a_status_arrives_as_it_was(code: grpc.StatusCode, details: str, said: status_pb2.Status) -> None:
    raw = said.SerializeToString()
    for trailing in ((), (("a", "1"), (STATUS_KEY, raw)) if raw else ()):
        sent = Status(code, details, trailing)
        body, rest = errors.encode(sent)
        assert errors.decode(errors.HTTP_STATUS[code], body, rest) == sent


def test_details_that_json_can_show_travel_there_alone() -> None:
    said = status_pb2.Status(code=9, message="only 2 left")
    said.details.add().Pack(error_details_pb2.ErrorInfo(reason="OUT_OF_STOCK", domain="x"))
    trailing = ((STATUS_KEY, said.SerializeToString()),)
    body, rest = errors.encode(Status(grpc.StatusCode.FAILED_PRECONDITION, "only 2 left", trailing))
    assert rest == ()
    assert b'"details":[{"type":"google.rpc.ErrorInfo","value":"' in body


@given(st.integers(200, 599), st.binary(max_size=60))
def test_any_body_has_a_status(http_status: int, body: bytes) -> None:
    assert errors.decode(http_status, body, ()).code in FAILURES


@given(st.lists(st.tuples(st.binary(max_size=20), st.binary(max_size=20)), max_size=5))
def test_any_headers_are_metadata_or_refused(headers: list[tuple[bytes, bytes]]) -> None:
    try:
        initial, trailing = split(headers)
    except InvalidMetadata:
        return
    lines(initial)
    lines(trailing, "trailer-")
