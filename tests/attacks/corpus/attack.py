"""What a row of the corpus says."""

from collections.abc import Iterable
from dataclasses import dataclass

END = b"\r\n"
HOST = b"host: x" + END
PATH = b"/up/x"
GET = b"GET " + PATH + b" HTTP/1.1" + END
POST = b"POST " + PATH + b" HTTP/1.1" + END
CHUNKED = b"transfer-encoding: chunked" + END
EVIL = b"GET /up/evil HTTP/1.1" + END + HOST + END
"""What an attacker wants to be taken for a request of its own."""


@dataclass(frozen=True)
class Seen:
    """A request as the upstream reads it: its method, target and body."""

    method: str = "GET"
    target: str = "/up/x"
    body: bytes = b""


@dataclass(frozen=True)
class Attack:
    """Octets for one connection, and the one way in which they may be read.

    `statuses` are those of the refusal, which ends the connection; with none the octets are read, and `seen` are the
    requests that reach the upstream. A refusal may come after requests that are sound: these are in `seen` too.
    `in_body` says that the fault is not in the head, so a port that answers earlier may not come to it. `closes` says
    that the connection ends though nothing is refused. `answered` is the status of a sound request that goes no
    further.
    """

    name: str
    source: str
    octets: bytes
    statuses: frozenset[int] = frozenset()
    seen: tuple[Seen, ...] = ()
    in_body: bool = False
    closes: bool = False
    answered: int = 0

    @property
    def outcome(self) -> str:
        """What is expected, in a few words."""
        read = " and ".join(f"{one.method} {one.target}" for one in self.seen)
        refused = " or ".join(str(status) for status in sorted(self.statuses))
        if self.answered:
            return f"answered {self.answered}, goes no further"
        if not refused:
            return f"read as {read}" + (", closed" if self.closes else "")
        return f"{refused}, closed" + (f", after {read}" if read else "")


def refused(name: str, source: str, octets: bytes, *statuses: int, after: Iterable[Seen] = ()) -> Attack:
    """A row whose head is refused, with 400 unless another status is given."""
    return Attack(name, source, octets, frozenset(statuses or {400}), tuple(after))


def refused_body(name: str, source: str, octets: bytes, *statuses: int, after: Iterable[Seen] = ()) -> Attack:
    """A row whose body is refused."""
    return Attack(name, source, octets, frozenset(statuses or {400}), tuple(after), in_body=True)


def read(name: str, source: str, octets: bytes, *seen: Seen) -> Attack:
    """A row that is read in one way."""
    return Attack(name, source, octets, seen=seen)


def closed(name: str, source: str, octets: bytes, *seen: Seen) -> Attack:
    """A row that is read in one way, and after which the connection ends: what comes then is never read."""
    return Attack(name, source, octets, seen=seen, closes=True)


def answered(name: str, source: str, octets: bytes, status: int) -> Attack:
    """A row that is read in one way and answered by the gateway itself."""
    return Attack(name, source, octets, answered=status)
