"""A fleet whose processes are in network namespaces: nobody gets to an application but through its sidecar."""

import ctypes
import os
import socket
from functools import partial
from pathlib import Path
from platform import machine

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty

from souk.runtime.data.layout import DataLayout
from souk.supervisor.isolation.rules import SIDECAR_PORT
from tests.fleet.conftest import PRICE, Bazaar
from tests.fleet.namespaces import connects, connects_to, enters, in_a_thread, may_make_namespaces, ports

pytestmark = [
    pytest.mark.full,
    pytest.mark.xdist_group("a fleet with a mesh"),
    pytest.mark.skipif(not may_make_namespaces(), reason="this user may not make network namespaces"),
]
CHARGE = "/shop.payment.v1.PaymentService/Charge"
_ACCEPTS = "00010000"
_SYS_ADMIN = 21
NOBODY = 65_534
"""A user whom nothing belongs to."""
SETRESUID = {"x86_64": 117, "aarch64": 147}
"""The number of the system call setresuid."""


@pytest.fixture(scope="module")
def pids(meshed: Bazaar) -> dict[str, int]:
    """The processes by their names."""
    return {one["instance"]: one["pid"] for one in meshed.operator.ps()}


def sockets(pid: int) -> list[str]:
    """Gives the paths and abstract names of the unix sockets that listen in the namespace of a process."""
    lines = [line.split() for line in Path(f"/proc/{pid}/net/unix").read_text().splitlines()[1:]]
    return sorted({line[7] for line in lines if line[3] == _ACCEPTS and len(line) > 7})


def becomes_nobody() -> int:
    # Of a thread alone: `os.setresuid` changes all threads, and so would the function of the C library.
    return int(ctypes.CDLL(None).syscall(SETRESUID[machine()], NOBODY, NOBODY, NOBODY))


def answer(path: str) -> grpc.StatusCode:
    """Calls Payment's method at a socket without a certificate; returns the status that it ends with."""
    with grpc.insecure_channel(f"unix:{path}") as channel, pytest.raises(grpc.RpcError) as failed:
        channel.unary_unary(CHARGE, Empty.SerializeToString, Empty.FromString)(Empty(), timeout=60.0)
    code: grpc.StatusCode = failed.value.code()
    return code


def test_an_order_is_placed_by_processes_that_have_nothing_but_their_loopback(meshed: Bazaar) -> None:
    states = {
        one["instance"]: one["isolation"] for one in meshed.operator.ps() if one["kind"] in ("service", "gateway")
    }
    assert set(states.values()) == {"network namespace"}
    meshed.accounts[0].buy((meshed.product, 1, PRICE))


def test_a_process_and_its_sidecar_share_a_namespace_of_their_own(pids: dict[str, int]) -> None:
    namespaces = {name: os.stat(f"/proc/{pid}/ns/net").st_ino for name, pid in pids.items() if pid}
    services = [name for name in pids if f"{name}-sidecar" in pids]
    assert all(namespaces[name] == namespaces[f"{name}-sidecar"] for name in services)
    assert len({namespaces[name] for name in services} - {os.stat("/proc/self/ns/net").st_ino}) == len(services)


def test_no_port_of_an_application_is_reached_from_outside(pids: dict[str, int]) -> None:
    own, other = pids["payment-1"], pids["product-1"]
    found = ports(own)
    assert SIDECAR_PORT in found
    assert len(found) >= 2
    for port in found:
        reached = partial(connects_to, port)
        assert in_a_thread(partial(enters, own), reached), "it is reached where it is"
        if port not in ports(os.getpid()):
            assert not reached()
            assert not in_a_thread(becomes_nobody, reached)
        if port not in ports(other):
            assert not in_a_thread(partial(enters, other), reached)


def test_no_socket_of_an_application_takes_calls_of_its_service(meshed: Bazaar, pids: dict[str, int]) -> None:
    paths = sockets(pids["payment-1"])
    sidecar = DataLayout(meshed.system.data.resolve()).sidecar("payment-1")
    assert str(sidecar.inbound) in paths
    assert str(sidecar.outbound) not in paths
    for path in paths:
        if path.startswith("@"):
            assert not connects(socket.AF_UNIX, "\0" + path[1:]), "an abstract socket is of its namespace"
            continue
        # The control socket has other methods, and a sidecar wants a certificate.
        assert answer(path) in (grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.UNAVAILABLE)
        assert not in_a_thread(becomes_nobody, partial(connects, socket.AF_UNIX, path))


def test_an_application_cannot_enter_the_namespace_of_another(pids: dict[str, int]) -> None:
    for name in ("payment-1", "payment-1-sidecar", "gateway-1"):
        status = Path(f"/proc/{pids[name]}/status").read_text().splitlines()
        capabilities = {line.split()[0]: int(line.split()[1], 16) for line in status if line.startswith("Cap")}
        assert not any(each & 1 << _SYS_ADMIN for each in capabilities.values()), name
