"""How far a consumer of Redis Streams is, and what it tells the server."""

from souk.events.brokers.redis_streams.position import StreamClaim, StreamPosition


def taken(*entries: str) -> StreamPosition:
    position = StreamPosition(group_at="0-0")
    for entry in entries:
        position.take(entry)
    return position


def test_what_is_not_handled_stays_in_hand() -> None:
    position = taken("1-0", "2-0", "3-0")
    assert position.claim(["2-0"]) == StreamClaim(3, "3-0", ["1-0", "3-0"])


def test_a_claim_without_an_answer_is_made_again_and_covers_no_more() -> None:
    position = taken("1-0", "2-0")
    position.claim(["1-0"])
    position.take("3-0")
    assert position.claim(["1-0", "2-0", "3-0"]) == StreamClaim(2, "2-0", [])
    assert position.unclaimed(["1-0", "3-0"]) == ["1-0", "3-0"]
    position.claimed(StreamClaim(2, "2-0", []))
    assert position.unclaimed(["1-0", "3-0"]) == ["3-0"]
    assert (position.group_at, position.after) == ("2-0", "3-0")
    assert position.claim(["3-0"]) == StreamClaim(1, "3-0", [])


def test_with_nothing_taken_there_is_nothing_to_claim() -> None:
    position = taken("1-0")
    position.claim([])
    position.claimed(StreamClaim(1, "1-0", ["1-0"]))
    assert position.claim(["1-0"]) == StreamClaim()
