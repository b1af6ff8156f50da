"""The reader of HTTP/1.1 keeps to its limits exactly, however the octets come."""

import pytest

from souk.http1.reader import HEAD_LIMIT, BodyTooLarge, HeadTooLarge, Reader, RequestReader, ResponseReader

START = {
    RequestReader: b"POST /x HTTP/1.1\r\nhost: x\r\n",
    ResponseReader: b"HTTP/1.1 200 OK\r\n",
}
KINDS = pytest.mark.parametrize("kind", list(START))
PARTS = pytest.mark.parametrize("part", [1_000, 16 * 1024, 65_535, 65_536, 65_537, 200_000])
BODY = b"x" * 20_000


def head(kind: type[Reader], octets: int) -> bytes:
    start, end = START[kind] + b"x-long: ", b"\r\ncontent-length: %d\r\n\r\n" % len(BODY)
    return start + b"x" * (octets - len(start) - len(end)) + end


def feed(reader: Reader, octets: bytes, part: int) -> bool:
    return [reader.feed(octets[at : at + part]) for at in range(0, len(octets), part)][-1]


@KINDS
@PARTS
def test_the_largest_head_is_read(kind: type[RequestReader | ResponseReader], part: int) -> None:
    reader = kind(len(BODY))
    assert feed(reader, head(kind, HEAD_LIMIT) + BODY, part)
    assert reader.body == BODY


@KINDS
@PARTS
@pytest.mark.parametrize("octets", [HEAD_LIMIT + 1, 70_000, 90_000])
def test_a_larger_head_is_refused(kind: type[RequestReader | ResponseReader], part: int, octets: int) -> None:
    with pytest.raises(HeadTooLarge):
        feed(kind(len(BODY)), head(kind, octets) + BODY, part)


@PARTS
def test_interim_answers_count_each_by_itself(part: int) -> None:
    reader = ResponseReader(len(BODY))
    interim = b"HTTP/1.1 103 Early Hints\r\nlink: " + b"x" * 40_000 + b"\r\n\r\n"
    assert feed(reader, interim * 3 + head(ResponseReader, 40_000) + BODY, part)
    assert (reader.status, reader.body) == (200, BODY)


def test_an_answer_has_begun_with_its_interim_answer() -> None:
    reader = ResponseReader(100)
    assert not reader.began
    assert not reader.feed(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert reader.began
    assert reader.feed(b"HTTP/1.1 204 No Content\r\n\r\n")
    reader.next()
    assert not reader.began


@KINDS
@pytest.mark.parametrize("zeros", [0, 5_000])
def test_a_length_is_read_whatever_zeros_it_begins_with(kind: type[RequestReader | ResponseReader], zeros: int) -> None:
    short, long = (kind(len(BODY)) for _ in range(2))
    for reader, octets in ((short, len(BODY)), (long, len(BODY) + 1)):
        reader.feed(START[kind] + b"content-length: " + b"0" * zeros + b"%d\r\n\r\n" % octets)
    short.expected()
    with pytest.raises(BodyTooLarge, match=f"a body of {len(BODY) + 1} octets"):
        long.expected()
