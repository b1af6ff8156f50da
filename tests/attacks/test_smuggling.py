"""Each row of the corpus, sent to a running gateway: it is refused, or the upstream sees exactly what was meant."""

import pytest

from tests.attacks.conftest import Target
from tests.attacks.conversation import answers_in, converse, ends_in
from tests.attacks.corpus.attack import Attack, Seen
from tests.attacks.corpus.http2 import HTTP2, Http2Attack
from tests.attacks.corpus.requests import PARTS, REQUESTS

LAST = b"GET /up/last HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
"""Sent after each row: it is the next request of the connection, or nobody ever reads it."""

pytestmark = pytest.mark.xdist_group("attacks")


@pytest.mark.parametrize("attack", REQUESTS.values(), ids=REQUESTS.keys())
def test_a_row(target: Target, attack: Attack) -> None:
    before = len(target.upstream.requests)
    answers = answers_in(converse(target.address, attack.octets + LAST))
    statuses, seen = [status for status, _, _ in answers], target.upstream.requests[before:]
    assert target.upstream.faults == []
    if attack.statuses:
        assert statuses[:-1] == [200] * len(attack.seen)
        assert statuses[-1] in attack.statuses, answers[-1]
        assert seen == list(attack.seen)
        assert answers[-1][1]["connection"] == "close"
    elif attack.answered:
        assert (seen, statuses) == ([Seen(target="/up/last")], [attack.answered, 200])
    else:
        expected = [*attack.seen] if attack.closes else [*attack.seen, Seen(target="/up/last")]
        assert (seen, statuses) == (expected, [200] * len(expected)), answers[-1]


@pytest.mark.parametrize("attack", HTTP2.values(), ids=HTTP2.keys())
def test_a_row_of_http_2(target: Target, attack: Http2Attack) -> None:
    before = len(target.upstream.requests)
    ends = ends_in(converse(target.address, attack.octets))
    assert target.upstream.faults == []
    assert target.upstream.requests[before:] == list(attack.seen)
    assert ends
    assert ends <= attack.ends


def test_no_row_stands_twice() -> None:
    assert len(REQUESTS) == sum(map(len, PARTS.values())) > 200
