"""A disk that is really full: a small file system, a system at work on it, and somebody who fills it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from souk.testing.system import System, embedded, until
from tests.market.api import log_in, wish
from tests.market.books import Books
from tests.market.invariants import await_rest, status, violations

ORDERS = "/api/v1/orders"
SIZE = 32 * 1_024 * 1_024
LEFT = 256 * 1_024
"""What the one who fills the disk leaves to the shop."""
MOST = 90
"""Orders; there are 100 to be had."""
REFUSED = 5
PATIENCE = 30.0


@contextmanager
def small_disk(place: Path, size: int = SIZE) -> Iterator[Path]:
    """Mounts a file system of so many octets at `place`; skips the test where that is not allowed."""
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", str(place)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"no file system may be mounted here: {done.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def again_as_root(test: str) -> None:
    """Runs a test of this file in a user and mount namespace of its own, in which it may mount."""
    inner = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-m", "full", f"{__file__}::{test}")
    done = subprocess.run(["unshare", "-Urm", *inner], capture_output=True, text=True, check=False)
    if done.returncode and "unshare" in done.stderr:
        pytest.skip(f"neither root nor a user namespace: {done.stderr.strip()}")
    assert done.returncode == 0, done.stdout


def fill(disk: Path) -> Path:
    """Fills all but a little of the free space."""
    ballast = disk / "ballast"
    room = os.statvfs(disk)
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, room.f_bavail * room.f_bsize - LEFT)
    return ballast


class Buyer:
    """Places one order after the other; `said` has the last answer for each key."""

    def __init__(self, system: System) -> None:
        self.said: dict[str, tuple[int, str]] = {}
        self.be_served_by(system)

    def be_served_by(self, system: System) -> None:
        """Logs in to a system, while there is space for a session."""
        self._api = log_in(system.url, "demo@souk.test", "demo-password")

    def order(self, key: str) -> int:
        """Places an order and gives the status. Raises AssertionError for a 500, and for a 503 without a code or
        Retry-After."""
        answer = self._api.post(ORDERS, json=wish(("P-101", 1, 1_200), key=key))
        self.said[key] = answer.status_code, answer.json().get("id", "")
        return answer.status_code

    def order_until_refused(self) -> None:
        """Places orders until none is accepted any more."""
        refused = 0
        for number in range(MOST):
            refused = refused + 1 if self.order(f"key-{number}") == 503 else 0
            if refused == REFUSED:
                return
        raise AssertionError(f"the disk is still not full: {self.said}")

    def answered(self, status: int) -> dict[str, str]:
        """Gives the orders by the keys whose last answer was this."""
        return {key: order_id for key, (said, order_id) in self.said.items() if said == status}

    def close(self) -> None:
        """Closes the connection."""
        self._api.close()


def require_clear(text: str) -> None:
    """Raises AssertionError unless the log reports a full disk, without a stack trace."""
    assert "the disk is full" in text, text
    assert "Traceback" not in text, text


@pytest.mark.full
@pytest.mark.skipif(sys.platform != "linux", reason="tmpfs and namespaces are Linux's")
def test_a_full_disk_refuses_and_loses_nothing(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    if os.geteuid() != 0:
        again_as_root(request.node.name)
        return
    with small_disk(tmp_path / "data") as disk, embedded(tmp_path) as system:
        buyer = Buyer(system)
        ballast = fill(disk)
        buyer.order_until_refused()
        assert {code for code, _ in buyer.said.values()} <= {201, 202, 503}
        require_clear(system.output())
        system.kill()
        _starts_or_says_why(system)
        ballast.unlink()
        system.start()
        before = buyer.answered(201)
        buyer.close()
        buyer.be_served_by(system)
        for key in buyer.said:
            until(lambda key=key: buyer.order(key) not in (202, 503), PATIENCE, f"{key} is answered")
        buyer.close()
        books = Books(system.data)
        await_rest(books)
        assert violations(books) == []
        assert buyer.answered(201).keys() == buyer.said.keys()
        assert before.items() <= buyer.answered(201).items()
        assert sorted(order.id for order in books.orders()) == sorted(buyer.answered(201).values())
        assert {status(order) for order in books.orders()} == {"CONFIRMED"}


def _starts_or_says_why(system: System) -> None:
    """Starts the system on a disk that is still full: it must get ready, or end with one line."""
    part = system.parts[0]
    try:
        system.start()
    except AssertionError:
        end = part.status
        said = part.output().rstrip().rpartition("\n")[2]
        assert (end, said[:7]) == (1, "Error: "), part.output()
        require_clear(said)
    system.kill()
