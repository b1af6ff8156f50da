"""Two thousand slow clients: they are ended in time, what they take is bounded, and others are served meanwhile."""

import asyncio
import select
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from souk.runtime.process.http.limits import HttpLimits
from tests.attacks.conftest import Target, proxying
from tests.attacks.slowloris import GOOD, KINDS, MEBIBYTE, besiege, impatient

CONNECTIONS = 2_000
LIMIT = 10.0
MOST = 300 * MEBIBYTE
"""Some 100 KiB a connection: the gateway's own buffers for clients that do not read, and what malloc keeps."""

pytestmark = [pytest.mark.full, pytest.mark.xdist_group("slowloris")]


@pytest.fixture(scope="module")
def besieged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with proxying(tmp_path_factory.mktemp("besieged"), impatient(LIMIT)) as target:
        yield target


def test_slow_clients_are_ended_and_good_ones_served(besieged: Target) -> None:
    siege = asyncio.run(besiege(besieged, CONNECTIONS))
    assert siege.held > CONNECTIONS // 2  # on a loaded machine the first are ended before the last are there
    assert {kind: len(took) for kind, took in siege.ended.items()} == dict.fromkeys(KINDS, CONNECTIONS // len(KINDS))
    assert min(min(took) for took in siege.ended.values()) > LIMIT / 2
    assert siege.statuses.keys() == {200}
    assert len(siege.good) > 100
    assert siege.peak - siege.before < MOST


def test_one_address_does_not_take_the_room_of_others(tmp_path: Path) -> None:
    with proxying(tmp_path) as target, ExitStack() as stack:
        slow = [stack.enter_context(_from("127.0.2.1", target)) for _ in range(CONNECTIONS)]
        good = stack.enter_context(_from("127.0.0.1", target))
        good.sendall(GOOD)
        assert good.recv(65_536).startswith(b"HTTP/1.1 200 ")
        refused = select.poll()  # select takes no more than 1,024
        for one in slow:
            refused.register(one, select.POLLIN)
        assert len(slow) - len(refused.poll(0)) <= HttpLimits().per_address


def _from(address: str, target: Target) -> socket.socket:
    return socket.create_connection(target.address, timeout=60.0, source_address=(address, 0))
