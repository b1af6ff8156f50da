"""Starts every HTTP port that a system has, and a peer that sends and reads octets."""

import select
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from souk.testing.free_ports import free_port
from souk.testing.system import Process

PATIENCE = 30.0
PIECE = 16 * 1024
NAMES = ("gateway", "metrics", "bank", "connect")
"""Those that `all_ports` starts. Whoever adds an HTTP server to Souk adds it there."""


@dataclass(frozen=True)
class Port:
    """One HTTP server: its address, and the process that serves it."""

    name: str
    address: tuple[str, int] | str
    pid: int
    log: Path = Path("/dev/null")

    def connect(self) -> "Peer":
        """Opens a connection."""
        family = socket.AF_UNIX if isinstance(self.address, str) else socket.AF_INET
        connection = socket.socket(family, socket.SOCK_STREAM)
        connection.settimeout(PATIENCE)
        try:
            connection.connect(self.address)
        except OSError:
            connection.close()
            raise
        return Peer(connection)

    def resident(self) -> int:
        """Gives the bytes of memory that its process has in use."""
        return int(psutil.Process(self.pid).memory_info().rss)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


class Peer:
    """One connection to a port."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._came = b""
        self._over = False

    def __enter__(self) -> "Peer":
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def send(self, octets: bytes) -> None:
        self.connection.sendall(octets)

    def answered(self, seconds: float = 0.0) -> bool:
        """Tells whether an answer or the end of the connection has arrived."""
        return bool(select.select([self.connection], [], [], seconds)[0])

    def answer(self) -> Answer:
        """Reads the next answer. Raises AssertionError if the connection ends before it."""
        while b"\r\n\r\n" not in self._came:
            self._read()
        head, _, self._came = self._came.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        if "transfer-encoding" in headers:
            while not self._came.endswith(b"0\r\n\r\n"):
                self._read()
            body, self._came = self._came, b""
            return Answer(int(lines[0].split()[1]), headers, body)
        length = int(headers.get("content-length", "0"))
        while len(self._came) < length:
            self._read()
        body, self._came = self._came[:length], self._came[length:]
        return Answer(int(lines[0].split()[1]), headers, body)

    def ended(self) -> bool:
        """Tells whether the server closes without sending more, and without a reset that destroys what it has sent."""
        if not self._over:
            self._read()
        return self._over and self._came == b""

    def _read(self) -> None:
        assert not self._over, f"the connection ended after {self._came!r}"
        octets = self.connection.recv(65_536)
        self._over = not octets
        self._came += octets

    def pour(self, octets: bytes, most: int, pause: float = 0.0) -> int:
        """Sends pieces until the server closes, or `most` octets are sent, and waits `pause` after each; returns
        the octets sent."""
        sent = 0
        while sent < most and not self._over:
            if self.answered(pause):
                self._read()
            else:
                sent += self.connection.send(octets)
        return sent


@contextmanager
def running(process: Process, settings: Mapping[str, str] | None = None) -> Iterator[str]:
    """Runs a process that serves, and gives the address that it prints."""
    process.spawn(settings or {})
    try:
        yield process.await_ready()[1]
    finally:
        if process.runs:
            process._process.kill()  # type: ignore[union-attr]
            process.await_end()


def http_port(name: str, address: str, process: Process) -> Port:
    host, _, port = address.rpartition(":")
    return Port(name, (host.rpartition("/")[2], int(port)), process.pid)


@contextmanager
def gateway(
    folder: Path, settings: Mapping[str, str] | None = None, *, demo: bool = True
) -> Iterator[tuple[Port, Port]]:
    """Runs a gateway without services, as `souk serve gateway` does; gives its port and its metrics port."""
    folder.mkdir(exist_ok=True)
    flag = "--demo" if demo else "--no-demo"
    metrics = free_port()
    words = (
        "serve",
        "gateway",
        flag,
        "--data",
        str(folder / "data"),
        "--port",
        "0",
        "--metrics-port",
        str(metrics),
    )
    process = Process("gateway", words, r"(?m)^ready gateway (\S+)$", folder)
    with running(process, settings) as address:
        yield http_port("gateway", address, process), Port("metrics", ("127.0.0.1", metrics), process.pid)


@contextmanager
def all_ports(folder: Path) -> Iterator[Mapping[str, Port]]:
    """Starts every HTTP server that Souk has; gives them by name."""
    with ExitStack() as stack:
        metrics = free_port()
        up = Process("up", ("up", "--demo", "--port", "0", "--data", str(folder / "up")), r"(http://\S+)", folder)
        bank = Process("bank", (), r"(http://\S+)", folder)
        module = "marketplace.payment.adapters.sandbox_server"
        bank.command = (sys.executable, "-m", module, "--book", str(folder / "book"), "--port", "0")
        service = Process("inventory", _serve(folder, "inventory"), r"(?m)^ready inventory (\S+)$", folder)
        url = stack.enter_context(running(up, {"SOUK_METRICS_PORT": str(metrics)}))
        where = stack.enter_context(running(bank))
        stack.enter_context(running(service))
        yield {
            "gateway": http_port("gateway", url, up),
            "metrics": Port("metrics", ("127.0.0.1", metrics), up.pid),
            "bank": replace(http_port("bank", where, bank), log=folder / "book" / "provider-key"),
            "connect": replace(_connect_port(service.pid), log=folder / "inventory.log"),
        }


def _serve(folder: Path, name: str) -> Sequence[str]:
    return ("serve", name, "--demo", "--data", str(folder / "fleet"))


def _connect_port(pid: int) -> Port:
    """Gives the one of a process's sockets that answers HTTP/1.1."""
    for one in psutil.Process(pid).net_connections("all"):
        if one.status == psutil.CONN_LISTEN or (one.family == socket.AF_UNIX and one.laddr):
            port = Port("connect", tuple(one.laddr) if isinstance(one.laddr, tuple) else one.laddr, pid)  # type: ignore[arg-type]
            if _speaks_http(port):
                return port
    raise AssertionError("the service has no port for Connect")


def _speaks_http(port: Port) -> bool:
    try:
        with port.connect() as peer:
            peer.send(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            return peer.answer().status == 405
    except (OSError, AssertionError, ValueError):
        return False
