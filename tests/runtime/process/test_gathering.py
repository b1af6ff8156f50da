"""What is written in one turn of the loop is sent in one piece."""

import asyncio

import pytest

from souk.runtime.process.http.gathering import MOST, Gathering


class Recording:
    """A transport that remembers."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.closed = False
        self.ended = False

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.sent.append(data)

    def close(self) -> None:
        self.closed = True

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended = True

    def resume_reading(self) -> None:
        pass

    def is_closing(self) -> bool:
        return self.closed


@pytest.fixture
def transport() -> Recording:
    return Recording()


@pytest.fixture
async def gathering(transport: Recording) -> Gathering:
    return Gathering(transport, asyncio.get_running_loop())


async def test_one_turn_is_one_piece(transport: Recording, gathering: Gathering) -> None:
    gathering.write(b"head,")
    gathering.write(b"body")
    assert transport.sent == []
    await asyncio.sleep(0)
    assert transport.sent == [b"head,body"]
    gathering.write(b"next")
    await asyncio.sleep(0)
    assert transport.sent == [b"head,body", b"next"]


async def test_what_is_long_goes_at_once_and_in_order(transport: Recording, gathering: Gathering) -> None:
    gathering.write(b"head,")
    gathering.write(b"x" * MOST)
    gathering.write(b",rest")
    assert [len(piece) for piece in transport.sent] == [5 + MOST]
    await asyncio.sleep(0)
    assert transport.sent[1:] == [b",rest"]


async def test_a_close_loses_nothing(transport: Recording, gathering: Gathering) -> None:
    gathering.write(b"last words")
    gathering.close()
    assert (transport.sent, gathering.is_closing(), transport.ended) == ([b"last words"], True, True)
    gathering.write(b"too late")
    await asyncio.sleep(0)
    assert transport.sent == [b"last words"]
