"""The way out of a network namespace: to what is declared, by the names and addresses that it is declared by."""

import asyncio
import os
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from souk.runtime.process.launcher import tied
from souk.supervisor.isolation.connection_relay import Streams
from souk.supervisor.isolation.destinations import Destination
from souk.supervisor.isolation.egress import Egress
from souk.supervisor.isolation.network_namespace import new_namespace, within
from souk.supervisor.isolation.pod_network import PodNetwork
from souk.supervisor.isolation.rules import FilesCheck
from souk.testing.certificates import Authority
from souk.testing.free_ports import free_port

LOOPBACK = "127.0.0.1"
LITERALS = ("192.0.2.7", "2001:db8::7")
"""Addresses of nobody (RFC 5737, RFC 3849)."""


@pytest.fixture
def namespace() -> Iterator[int]:
    try:
        made = new_namespace()
    except OSError as error:
        pytest.skip(f"no network namespaces here: {error.strerror}")
    yield made
    os.close(made)


@asynccontextmanager
async def greeting(tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Listens at a port of loopback, and sends a greeting to each that connects."""

    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"welcome")
        writer.close()

    async with await asyncio.start_server(greet, LOOPBACK, 0, ssl=tls) as server:
        yield server.sockets[0].getsockname()[1]


@asynccontextmanager
async def open_to(namespace: int, *destinations: Destination, port: int) -> AsyncIterator[Egress]:
    """Opens a way out that leads to one port of loopback, whatever the destination."""

    async def opened(_: Destination) -> Streams:
        return await asyncio.open_connection(LOOPBACK, port)

    egress = Egress(destinations, lambda line: None, opened=opened)
    await egress.open(namespace)
    try:
        yield egress
    finally:
        egress.close()


def greeted(address: str, port: int) -> bytes:
    with socket.create_connection((address, port)) as caller:
        return caller.recv(100)


async def reached(namespace: int, address: str, port: int) -> bytes:
    """Gives the greeting that a process inside gets there."""
    return await asyncio.to_thread(within, namespace, partial(greeted, address, port))


async def refused(namespace: int, address: str, port: int) -> None:
    with pytest.raises(OSError, match=r"refused|unreachable|assign requested"):
        await reached(namespace, address, port)


async def run_inside(namespace: int, egress: Egress, program: str, *arguments: str) -> str:
    """Runs a program in Python inside, as the supervisor starts a process; returns its output."""
    launcher: Sequence[str] = tied(None, 9, namespace, egress.files)
    process = await asyncio.create_subprocess_exec(
        *launcher,
        sys.executable,
        "-c",
        program,
        *arguments,
        pass_fds=(namespace,),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return output.decode().strip()


@pytest.mark.parametrize("literal", LITERALS)
async def test_a_literal_address_is_reached_as_it_is(namespace: int, literal: str) -> None:
    async with greeting() as port, open_to(namespace, Destination(literal, 4443), port=port):
        assert await reached(namespace, literal, 4443) == b"welcome"
        await refused(namespace, literal, 4444)


async def test_a_port_of_this_machine_is_reached_by_its_address_and_as_localhost(namespace: int) -> None:
    async with greeting() as port, greeting() as other:
        egress = Egress([Destination(LOOPBACK, port), Destination("localhost", port)], lambda line: None)
        await egress.open(namespace)
        for host in (LOOPBACK, "localhost"):
            assert await reached(namespace, host, port) == b"welcome"
            await refused(namespace, host, other)
        egress.close()


BY_NAME = """
import socket, ssl, sys
ca, port = sys.argv[1], int(sys.argv[2])
context = ssl.create_default_context(cafile=ca)
for host in ("bank.example", "mail.example"):
    try:
        with context.wrap_socket(socket.create_connection((host, port)), server_hostname=host) as connection:
            print(host, connection.recv(100).decode())
    except ssl.SSLCertVerificationError as error:
        print(host, error.verify_message)
for host in ("other.example", "bank.example.org"):
    try:
        socket.create_connection((host, port))
    except OSError as error:
        print(host, "unknown" if isinstance(error, socket.gaierror) else error)
"""


async def test_a_host_is_reached_by_its_name_and_shows_its_certificate_for_it(namespace: int, tmp_path: Path) -> None:
    if reason := FilesCheck()({"/etc/hosts": ""}):
        pytest.skip(reason)
    authority = Authority(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*authority.issue("bank.example"))
    destinations = [Destination(host, 8443) for host in ("bank.example", "mail.example")]
    before = Path("/etc/hosts").read_text()
    async with greeting(context) as port, open_to(namespace, *destinations, port=port) as egress:
        lines = (await run_inside(namespace, egress, BY_NAME, str(authority.ca), "8443")).splitlines()
    assert lines[0] == "bank.example welcome"
    assert "mail.example" in lines[1]
    assert "mismatch" in lines[1]
    assert lines[2:] == ["other.example unknown", "bank.example.org unknown"]
    assert Path("/etc/hosts").read_text() == before


async def test_what_a_process_is_given_only_it_finds(namespace: int, tmp_path: Path) -> None:
    if reason := FilesCheck()({"/etc/hosts": ""}):
        pytest.skip(reason)
    async with open_to(namespace, Destination("bank.example", 443), port=free_port()) as egress:
        program = "import os, sys; print(open('/etc/hosts').read(), os.listdir(sys.argv[1]))"
        found = await run_inside(namespace, egress, program, str(tmp_path))
    assert "bank.example" in found
    assert found.endswith("[]"), "folders are those of everybody"
    assert "bank.example" not in Path("/etc/hosts").read_text()
    assert " /tmp tmpfs souk" not in Path("/proc/self/mountinfo").read_text()


async def test_nobody_else_can_use_it(namespace: int) -> None:
    other = new_namespace()
    destination = Destination("192.0.2.7", 4443)
    async with greeting() as port, open_to(namespace, destination, port=port):
        await refused(other, destination.host, destination.port)
    os.close(other)


async def test_it_ends_with_its_network() -> None:
    async with greeting() as port:
        egress = Egress([Destination(LOOPBACK, port)], lambda line: None)
        network = PodNetwork(egress)
        try:
            descriptor = await network.descriptor()
        except OSError as error:
            pytest.skip(f"no network namespaces here: {error.strerror}")
        kept = os.dup(descriptor)
        assert list(network.destinations) == [Destination(LOOPBACK, port)]
        assert await reached(kept, LOOPBACK, port) == b"welcome"
        network.close()
        await refused(kept, LOOPBACK, port)
        while egress.connections:
            await asyncio.sleep(0)
        os.close(kept)
