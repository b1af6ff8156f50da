"""The conformance suite of clients for requests that are lost: a request of which any octet was handed to a socket
may have happened. It runs against a real server behind a `CuttingRelay`."""

import asyncio
from typing import Protocol

import pytest

from souk.kernel.errors import Outcome
from souk.testing.cutting_relay import Cut, CuttingRelay, Port

CALL = b"the-call-that-is-lost"
ANSWER = b"the-answer-that-is-lost"


class Sender(Protocol):
    """A client whose calls go through a relay to its server."""

    relay: CuttingRelay

    async def send(self) -> Outcome:
        """Makes a call that carries CALL and is answered with ANSWER; returns its outcome for the client."""
        ...


class SendingSuite:
    """Tests of lost requests. It needs a fixture `sender`."""

    @pytest.mark.parametrize("port", Port)
    @pytest.mark.parametrize("cut", Cut)
    @pytest.mark.parametrize("kept", [True, False], ids=["kept", "fresh"])
    async def test_a_request_that_was_handed_over_is_unknown(
        self, sender: Sender, kept: bool, cut: Cut, port: Port
    ) -> None:
        if kept:
            assert await sender.send() is Outcome.DONE
        sender.relay.arm(cut, port)
        assert await sender.send() is Outcome.UNKNOWN
        assert sender.relay.reached.is_set()

    @pytest.mark.parametrize("port", [Port.REFUSES, Port.HANGS])
    async def test_a_request_that_nobody_could_read_is_not_sent(self, sender: Sender, port: Port) -> None:
        sender.relay.become(port)
        assert await sender.send() is Outcome.NOT_SENT

    @pytest.mark.parametrize("cut", Cut)
    async def test_what_was_not_sent_after_a_lost_one_is_not_sent(self, sender: Sender, cut: Cut) -> None:
        """Each request has an outcome of its own, once the client knows that its connection has ended."""
        sender.relay.arm(cut, Port.REFUSES)
        assert await sender.send() is Outcome.UNKNOWN
        async with asyncio.timeout(120):
            while (outcome := await sender.send()) is Outcome.UNKNOWN:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert outcome is Outcome.NOT_SENT

    async def test_a_connection_that_was_reset_at_once_proves_nothing_and_is_noticed(self, sender: Sender) -> None:
        sender.relay.become(Port.RESETS)
        async with asyncio.timeout(120):
            assert await sender.send() in (Outcome.NOT_SENT, Outcome.UNKNOWN)
