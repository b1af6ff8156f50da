"""How many clients a gateway takes, how slow they may be, and how it leaves: seen from outside."""

import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from souk.runtime.process.http.limits import HttpLimits, network_of
from souk.runtime.process.open_files import LEAST
from souk.testing.system import Process
from tests.runtime.process.ports import PATIENCE, Port, gateway, http_port, running

GET = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"
HALF = b"GET /healthz HTTP/1.1\r\nhost:"
BODY = b"POST /api/v1/auth/token HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n"
LIMIT = 1.0
ESTABLISHED = 1
"""The state of a connection that has not ended, as Linux tells it (tcp_states.h)."""
SLOW = {f"SOUK_HTTP_{name}_TIMEOUT": str(LIMIT) for name in ("FIRST_OCTET", "HEAD", "BODY", "WRITE", "IDLE")}

pytestmark = pytest.mark.xdist_group("http limits")


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Port]]:
    """A gateway and its metrics port, with time limits of LIMIT seconds."""
    with gateway(tmp_path_factory.mktemp("impatient"), SLOW) as (own, metrics):
        yield {"gateway": own, "metrics": metrics}


@pytest.fixture(params=["gateway", "metrics"])
def port(request: pytest.FixtureRequest, impatient: dict[str, Port]) -> Port:
    return impatient[request.param]


def test_who_says_nothing_is_not_waited_for(port: Port) -> None:
    with port.connect() as peer:
        assert peer.ended()


def test_who_says_half_a_head_is_not_waited_for(port: Port) -> None:
    with port.connect() as peer:
        peer.send(HALF)
        assert peer.answer().status == 408
        assert peer.ended()


def test_who_sends_a_head_a_little_at_a_time_is_not_waited_for(port: Port) -> None:
    with port.connect() as peer:
        peer.send(HALF)
        peer.pour(b"x", 1_000, pause=0.1)
        assert peer.answer().status == 408


def test_who_never_sends_the_body_is_not_waited_for(impatient: dict[str, Port]) -> None:
    with impatient["gateway"].connect() as peer:
        peer.send(BODY + b"{")
        answer = peer.answer()
        assert (answer.status, answer.headers["content-type"]) == (408, "application/problem+json")
        assert peer.ended()


def test_who_asks_no_more_is_told_that_nothing_was_read(port: Port) -> None:
    with port.connect() as peer:
        peer.send(GET)
        assert peer.answer().status == 200
        goodbye = peer.answer()
        assert (goodbye.status, goodbye.headers["connection"], goodbye.body) == (408, "close", b"")
        assert peer.ended()


def test_who_never_reads_his_answers_is_not_waited_for(port: Port) -> None:
    with port.connect() as peer:
        peer.connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.connection.settimeout(0.2)
        large = b"/openapi.json" if port.name == "gateway" else b"/metrics"
        begun = time.monotonic()
        while time.monotonic() < begun + PATIENCE:
            try:
                peer.connection.send(GET.replace(b"/healthz", large) * 100)
            except TimeoutError:
                continue  # neither does it read any more
            except (BrokenPipeError, ConnectionResetError):
                return
    raise AssertionError("it still waits")


@pytest.mark.parametrize("requests", [1, 100], ids=["that the system has taken", "that it has not"])
def test_what_nobody_reads_is_not_kept_by_the_system(impatient: dict[str, Port], requests: int) -> None:
    """Before, the connection stayed, with all that was sent on it, for as long as its client did not read."""
    with impatient["gateway"].connect() as peer:
        peer.connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.send(GET.replace(b"/healthz", b"/openapi.json") * requests)
        end = time.monotonic() + PATIENCE
        while peer.connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == ESTABLISHED:
            assert time.monotonic() < end, "it is still there"
            time.sleep(0.05)


def test_who_is_slow_but_steady_is_served(tmp_path: Path) -> None:
    """A body at many times the least rate takes three times as long as one that stops may."""
    settings = {**SLOW, "SOUK_HTTP_SLOWEST": "50"}
    with gateway(tmp_path, settings) as (port, _), port.connect() as peer:
        peer.send(BODY.replace(b"1000", b"3000"))
        for _ in range(29):
            peer.send(b" " * 100)
            assert not peer.answered(0.1), peer.answer()
        peer.send(b" " * 100)
        assert peer.answer().status == 400  # white space is no JSON


def test_more_connections_than_there_may_be_are_refused_and_room_is_made_again(tmp_path: Path) -> None:
    settings = {"SOUK_HTTP_CONNECTIONS": "8", "SOUK_HTTP_CONNECTIONS_PER_ADDRESS": "100"}
    with gateway(tmp_path, settings) as (port, metrics), ExitStack() as stack:
        kept = [stack.enter_context(port.connect()) for _ in range(4)]
        for peer in kept:
            peer.send(GET)
            assert peer.answer().status == 200
        with port.connect() as refused:  # one address has half of them at most
            answer = refused.answer()
            assert (answer.status, answer.headers["connection"]) == (503, "close")
            assert "retry-after" in answer.headers
            assert refused.ended()
        with metrics.connect() as operator:  # has connections of its own
            operator.send(GET)
            assert operator.answer().status == 200
        kept[0].connection.close()
        assert _served(port)


def _served(port: Port) -> bool:
    """Whether a new connection is taken, once the server has noticed that another one ended."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        with port.connect() as peer:
            peer.send(GET)
            if peer.answer().status == 200:
                return True
    return False


def test_few_descriptors_are_not_used_up_by_clients(tmp_path: Path) -> None:
    """Before, connections took all descriptors, and the event loop spun on those that it could not accept."""
    words = ("serve", "gateway", "--data", str(tmp_path / "data"), "--port", "0")
    process = Process("gateway", words, r"(?m)^ready gateway (\S+)$", tmp_path)
    command = " ".join(process.command)
    process.command = ("sh", "-c", f"ulimit -Sn 64; ulimit -Hn 128; exec {command}")  # type: ignore[assignment]
    with running(process, {"SOUK_HOST": "127.0.0.1"}) as address, ExitStack() as stack:
        port = http_port("gateway", address, process)
        assert psutil.Process(port.pid).rlimit(psutil.RLIMIT_NOFILE) == (128, 128)
        first = stack.enter_context(port.connect())
        first.send(GET)
        assert first.answer().status == 200
        for _ in range(200):
            stack.enter_context(port.connect())
        first.send(GET)
        assert first.answer().status == 200
        assert (
            LEAST < len(psutil.Process(port.pid).open_files()) + len(psutil.Process(port.pid).net_connections()) < 120
        )
        spent = sum(psutil.Process(port.pid).cpu_times()[:2])
        time.sleep(1.0)
        assert sum(psutil.Process(port.pid).cpu_times()[:2]) - spent < 0.5


def test_a_request_that_comes_while_the_gateway_leaves_is_answered(tmp_path: Path) -> None:
    with gateway(tmp_path) as (port, _), port.connect() as kept, port.connect() as idle:
        for peer in (kept, idle):
            peer.send(GET)
            assert peer.answer().status == 200
        psutil.Process(port.pid).send_signal(signal.SIGTERM)
        while not _refuses(port):
            time.sleep(0.001)
        kept.send(GET)
        answer = kept.answer()
        assert (answer.status, answer.headers["connection"]) in {(200, "close"), (408, "close")}
        assert kept.ended()
        goodbye = idle.answer()  # and nobody has read what may have been on its way
        assert (goodbye.status, goodbye.headers["connection"]) == (408, "close")
        idle.send(GET)
        assert idle.ended()


def _refuses(port: Port) -> bool:
    try:
        port.connect().connection.close()
    except ConnectionRefusedError:
        return True
    return False


def test_metrics_are_public_with_demo_data_alone(tmp_path: Path) -> None:
    asked = b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n"
    with gateway(tmp_path / "demo") as (port, metrics):
        assert [_status(one, asked) for one in (port, metrics)] == [200, 200]
    with gateway(tmp_path / "own", {"SOUK_HOST": "127.0.0.1"}, demo=False) as (port, metrics):
        assert [_status(one, asked) for one in (port, metrics)] == [404, 200]


def _status(port: Port, request: bytes) -> int:
    with port.connect() as peer:
        peer.send(request)
        return peer.answer().status


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff:1", "2001:db8::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_whom_connections_are_counted_for(address: str, network: str) -> None:
    assert network_of(address) == network


def test_connections_are_looked_at_often_enough_for_the_shortest_time() -> None:
    assert HttpLimits().sweep == 1.0
    assert HttpLimits(head=0.4).sweep == 0.1
