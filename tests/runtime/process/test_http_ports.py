"""What a stranger may send to any HTTP port of a running system, and what it takes of him."""

import contextlib
import json
from collections.abc import Iterator, Mapping

import pytest

from tests.attacks.conversation import answers_in, converse
from tests.attacks.corpus.requests import REQUESTS
from tests.runtime.process.ports import NAMES, PATIENCE, PIECE, Port, all_ports

MEBIBYTE = 1024 * 1024
GET = b"GET /healthz HTTP/1.1\r\n"
POST = b"POST /v1/charges HTTP/1.1\r\n"
CHUNKED = POST + b"host: x\r\ntransfer-encoding: chunked\r\n\r\n"
LIVE = GET + b"host: x\r\n\r\n"

pytestmark = pytest.mark.xdist_group("http ports")


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Port]]:
    with all_ports(tmp_path_factory.mktemp("ports")) as found:
        yield found


@pytest.fixture(params=NAMES)
def port(request: pytest.FixtureRequest, ports: Mapping[str, Port]) -> Port:
    return ports[request.param]


ENDLESS = {
    "one value": (GET + b"host: x\r\na: ", b"x" * PIECE),
    "one name": (GET + b"host: x\r\n", b"x" * PIECE),
    "many fields": (GET + b"host: x\r\n", b"a: b\r\n" * (PIECE // 6)),
    "a target": (b"GET /", b"x" * PIECE),
    "empty lines": (b"", b"\r\n" * (PIECE // 2)),
    "one value after the body": (CHUNKED + b"1\r\n{\r\n0\r\na: ", b"x" * PIECE),
    "many fields after the body": (CHUNKED + b"1\r\n{\r\n0\r\n", b"a: b\r\n" * (PIECE // 6)),
    "what a chunk says of itself": (CHUNKED + b"1;a=", b"x" * PIECE),
}


@pytest.mark.parametrize("shape", ENDLESS)
def test_a_head_without_end_is_cut_off(port: Port, shape: str) -> None:
    """However fast it comes: before, a connection could fill the memory, and stop all others meanwhile."""
    began, piece = ENDLESS[shape]
    before = port.resident()
    with port.connect() as peer, port.connect() as other:
        peer.send(began)
        sent = peer.pour(piece, 64 * MEBIBYTE)
        other.send(LIVE)
        assert other.answer().status in {200, 401, 404, 405}
        assert peer.answer().status in _cut(port, shape)
        assert peer.ended()
        # What its system and ours had room for on the way; the server itself took no more than 64 KiB and a piece.
        assert sent < 32 * MEBIBYTE
        assert port.resident() - before < 24 * MEBIBYTE


@pytest.mark.parametrize("shape", ENDLESS)
def test_a_head_without_end_that_comes_slowly_is_cut_off_just_as_early(port: Port, shape: str) -> None:
    began, piece = ENDLESS[shape]
    with port.connect() as peer:
        peer.send(began)
        sent = peer.pour(piece[:1020], 256 * 1024, pause=0.001)
        assert peer.answer().status in _cut(port, shape)
        assert peer.ended()
        assert sent <= 128 * 1024


def _cut(port: Port, shape: str) -> set[int]:
    """Metrics and Connect refuse what is not there before its body has come."""
    early = {"metrics": {404}, "connect": {415}}.get(port.name, set())
    return {431} | (early if ENDLESS[shape][0].startswith(CHUNKED) else set())


UNSOUND = {name: attack for name, attack in REQUESTS.items() if attack.statuses and not (attack.seen or attack.in_body)}
"""The rows of the smuggling corpus whose head is refused, whatever port it comes to."""


@pytest.mark.parametrize("kind", UNSOUND)
def test_what_could_be_read_in_two_ways_is_refused_and_ends_the_connection(port: Port, kind: str) -> None:
    attack = UNSOUND[kind]
    early = {400, 405} if port.name == "connect" else set()  # it has POST alone, and no other protocol
    (answer,) = answers_in(converse(port.address, attack.octets + LIVE))
    assert answer[0] in attack.statuses | early
    assert answer[1]["connection"] == "close"


@pytest.mark.parametrize("encoding", [b"chunked", b"Chunked", b"chunked \t "])
def test_chunked_is_understood_in_any_writing(port: Port, encoding: bytes) -> None:
    with port.connect() as peer:
        peer.send(POST + b"host: x\r\ntransfer-encoding: " + encoding + b"\r\n\r\n2\r\n{}\r\n0\r\na: b\r\n\r\n")
        assert peer.answer().status not in {501, 505}


def test_a_request_before_an_unsound_one_is_answered_first(ports: Mapping[str, Port]) -> None:
    with ports["gateway"].connect() as peer:
        peer.send(LIVE + GET + b"\r\n")
        assert [peer.answer().status, peer.answer().status] == [200, 400]
        assert peer.ended()


def test_options_about_the_server_as_such(ports: Mapping[str, Port]) -> None:
    with ports["gateway"].connect() as peer:
        peer.send(b"OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n")
        answer = peer.answer()
        assert (answer.status, answer.headers["allow"]) == (204, "GET, HEAD, OPTIONS, POST, PUT, PATCH, DELETE")
        peer.send(b"GET * HTTP/1.1\r\nhost: x\r\n\r\n")
        assert peer.answer().status == 400


def test_another_protocol_is_not_spoken_but_the_request_is_answered(ports: Mapping[str, Port]) -> None:
    with ports["gateway"].connect() as peer:
        peer.send(GET + b"host: x\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n" + LIVE)
        answer = peer.answer()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert peer.ended()


def test_who_asks_ahead_is_served_in_turn_and_keeps_nothing(port: Port) -> None:
    """A request that waits for its turn is dear to keep: only a few of them are read before it comes."""
    before = port.resident()
    with port.connect() as peer, port.connect() as other:
        if port.name in {"connect", "bank"}:
            pytest.skip("Connect answers nobody who asks ahead; the bank is the same server as the gateway")
        peer.connection.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            peer.connection.send(LIVE * 200_000)
        peer.connection.settimeout(PATIENCE)
        other.send(LIVE)
        assert other.answer().status in {200, 404}
        assert [peer.answer().status for _ in range(100)] == [200] * 100
        assert port.resident() - before < 24 * MEBIBYTE


@pytest.mark.parametrize("spaces", [b" ", b"\t", b" \t  "])
def test_a_key_with_white_space_around_it_is_the_same_key(ports: Mapping[str, Port], spaces: bytes) -> None:
    """RFC 9110, 5.5. Otherwise a proxy that adds some makes a second charge of one."""
    with ports["bank"].connect() as peer:
        key = b"key-%d" % len(spaces)
        body = b'{"source": "tok_visa", "amount": 100, "currency": "EUR"}'
        known = b"authorization: Bearer " + ports["bank"].log.read_bytes().strip() + spaces + b"\r\n"
        head = POST + b"host: x\r\n" + known + b"idempotency-key:" + spaces + key + spaces + b"\r\n"
        peer.send(head + b"content-length: %d\r\n\r\n" % len(body) + body)
        assert peer.answer().status == 200
        peer.send(b"GET /v1/charges/" + key + b" HTTP/1.1\r\nhost: x\r\n" + known + b"\r\n")
        assert peer.answer().status == 200


RESERVE = b"/shop.inventory.v1.InventoryService/Reserve"
GET_STOCK = b"/shop.inventory.v1.InventoryService/GetStock"


def _call(path: bytes, length: int, more: bytes = b"") -> bytes:
    return b"POST %b HTTP/1.1\r\nhost: x\r\ncontent-type: application/proto\r\n%bcontent-length: %d\r\n\r\n" % (
        path,
        more,
        length,
    )


@pytest.mark.parametrize(
    ("token", "refusal"), [(b"", (401, "unauthenticated")), (b"souk-caller: not.a-token\r\n", (503, "unavailable"))]
)
def test_connect_asks_who_calls_before_it_takes_a_body(
    ports: Mapping[str, Port], token: bytes, refusal: tuple[int, str]
) -> None:
    with ports["connect"].connect() as peer:
        peer.send(_call(RESERVE, 4 * MEBIBYTE - 10, token))
        answer = peer.answer()
        assert (answer.status, json.loads(answer.body)["code"]) == refusal
        assert peer.ended()


def test_connect_takes_the_body_of_whom_it_does_not_ask(ports: Mapping[str, Port]) -> None:
    with ports["connect"].connect() as peer:
        peer.send(_call(GET_STOCK, 2))
        assert not peer.answered(0.2)
        peer.send(b"\xff\xff")  # no message
        answer = peer.answer()
        assert (answer.status, json.loads(answer.body)["code"]) == (400, "invalid_argument")
        peer.send(_call(GET_STOCK, 2) + b"\x0a\x00")
        assert peer.answer().status in {400, 404}
    assert "Traceback" not in ports["connect"].log.read_text()
