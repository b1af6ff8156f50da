"""A TCP relay in front of a real server that cuts one call at a chosen point, and then makes its port fail."""

import enum
import select
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass, field

from souk.kernel.addresses import LOOPBACK

_PATIENCE = 60.0
_MOST = 65_536
_RESET = b"\x01\x00\x00\x00\x00\x00\x00\x00"  # struct linger: on, 0 s


class Cut(enum.Enum):
    """The point at which the relay cuts the call's connection."""

    BEFORE_READING = "before reading"
    AFTER_READING = "after reading"
    AFTER_BOOKING = "after booking"
    HALF_AN_ANSWER = "after half an answer"


class Port(enum.Enum):
    """What the port does to new connections after the cut."""

    REFUSES = "refuses"
    HANGS = "hangs"
    RESETS = "resets"


@dataclass
class CuttingRelay:
    """Relays connections to `target`. Once it is armed, it cuts the connection that carries `marker`.

    `reached` is set when an octet of the call could have been read. The server behind the relay sets `booked`
    once the call has had its effect; its answer contains `answer`.
    """

    target: tuple[str, int]
    marker: bytes
    answer: bytes
    booked: threading.Event = field(default_factory=threading.Event)
    reached: threading.Event = field(default_factory=threading.Event)
    _armed: tuple[Cut, Port] | None = None
    _resets: bool = False
    _ended: bool = False
    _threads: list[threading.Thread] = field(default_factory=list)
    _fillers: list[socket.socket] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._listener = socket.create_server((LOOPBACK, 0))
        self.port: int = self._listener.getsockname()[1]
        self._start(self._accept, self._listener)

    def arm(self, cut: Cut, port: Port) -> None:
        """Makes it cut the next call at `cut`, and treat new connections as `port` says from then on."""
        self.booked.clear()
        self._armed = (cut, port)

    def become(self, port: Port) -> None:
        """Makes it treat new connections as `port` says; open ones go on."""
        if port is Port.RESETS:
            self._resets = True
            return
        with suppress(OSError):  # wakes the thread that waits in accept
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        if port is Port.HANGS:
            self._hang()

    def close(self) -> None:
        """Closes the port and ends all threads."""
        self._ended = True
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for filler in self._fillers:
            filler.close()
        for thread in self._threads:
            thread.join(_PATIENCE)

    def _hang(self) -> None:
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind((LOOPBACK, self.port))
        self._listener.listen(0)
        for _ in range(4):  # its backlog is full: the kernel answers no further connection
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex((LOOPBACK, self.port))
            self._fillers.append(filler)

    def _start(self, work: object, *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        while not self._ended:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            if self._resets:
                _reset(client)
            else:
                self._start(self._relay, client)

    def _relay(self, client: socket.socket) -> None:
        server = socket.create_connection(self.target)
        try:
            while not self._ended:
                ready, _, _ = select.select([client, server], [], [], 0.05)
                if server in ready and not _pass_on(server, client):
                    return
                if client in ready:
                    peeked = client.recv(_MOST, socket.MSG_PEEK)
                    if self._armed is not None and self.marker in peeked:
                        self._cut(client, server)
                        return
                    if not _pass_on(client, server, len(peeked)):
                        return
        except OSError:
            return
        finally:
            client.close()
            server.close()

    def _cut(self, client: socket.socket, server: socket.socket) -> None:
        """Cuts the call as it was armed to."""
        assert self._armed is not None
        cut, port = self._armed
        self._armed = None
        self.reached.set()
        if cut is not Cut.BEFORE_READING:
            request = client.recv(_MOST)
            if cut is not Cut.AFTER_READING:
                self._have_it_booked(request, server)
                if cut is Cut.HALF_AN_ANSWER:
                    client.sendall(self._half(server))
        self.become(port)
        _reset(client) if cut is Cut.BEFORE_READING else client.close()

    def _have_it_booked(self, request: bytes, server: socket.socket) -> None:
        server.sendall(request)
        if not self.booked.wait(_PATIENCE):
            raise AssertionError("the server has not booked the call")

    def _half(self, server: socket.socket) -> bytes:
        """Reads the server's answer up to the middle of `answer`."""
        server.settimeout(_PATIENCE)
        octets = b""
        while self.answer not in octets:
            more = server.recv(_MOST)
            if not more:
                raise AssertionError("the server has not answered")
            octets += more
        return octets[: octets.index(self.answer) + len(self.answer) // 2]


def _pass_on(source: socket.socket, target: socket.socket, most: int = _MOST) -> bool:
    octets = source.recv(most)
    target.sendall(octets)
    return bool(octets)


def _reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    connection.close()
