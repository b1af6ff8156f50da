"""What is asked of SQS, and in which order, against a client that records it and can fail in parts."""

from collections import deque
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest
from soukapi.v1.event_pb2 import Event

from souk.events.broker import BrokerUnavailable
from souk.events.brokers.sqs.claims import Claim, ClaimsInHand, HeldMessage
from souk.events.brokers.sqs.link import AwsClients, SqsLink
from souk.events.brokers.sqs.publisher import SqsPublisher
from souk.events.brokers.sqs.receipts import Receipts
from souk.events.brokers.sqs.settings import SqsSettings
from souk.testing.brokers.harness import event, number_of, run_of

FAR = 1e12
QUEUE = "http://host/queue.fifo"


@dataclass
class RecordingSqs:
    """A client of SQS: `refused` are receipts that it refuses, and `failing` the events that it fails to store once."""

    refused: set[str] = field(default_factory=set)
    failing: set[str] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)
    requests: list[list[dict[str, Any]]] = field(default_factory=list)

    async def _receipts(self, Entries: list[dict[str, Any]]) -> dict[str, Any]:
        self.requests.append(Entries)
        bad = [entry["Id"] for entry in Entries if entry["ReceiptHandle"] in self.refused]
        return {
            "Successful": [{"Id": entry["Id"]} for entry in Entries if entry["Id"] not in bad],
            "Failed": [{"Id": one, "Code": "ReceiptHandleIsInvalid", "SenderFault": True} for one in bad],
        }

    async def delete_message_batch(self, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:
        return await self._receipts(Entries)

    async def change_message_visibility_batch(
        self,
        QueueUrl: str,
        Entries: list[dict[str, Any]],
    ) -> dict[str, Any]:
        return await self._receipts(Entries)

    async def send_message_batch(self, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:
        self.requests.append(Entries)
        failed = [entry["Id"] for entry in Entries if any(one in entry["MessageBody"] for one in self.failing)]
        if any(one in entry["MessageBody"] for entry in Entries for one in self.lost):
            raise TimeoutError
        return {
            "Successful": [{"Id": entry["Id"]} for entry in Entries if entry["Id"] not in failed],
            "Failed": [{"Id": one, "Code": "InternalError", "SenderFault": False} for one in failed],
        }


@pytest.fixture
def sqs() -> RecordingSqs:
    return RecordingSqs()


@pytest.fixture
def link(sqs: RecordingSqs) -> SqsLink:
    client: Any = sqs

    class RecordingLink(SqsLink):
        async def clients(self) -> AwsClients:
            return AwsClients(client, client, AsyncExitStack())

    return RecordingLink(SqsSettings(endpoint="http://host"))


def claims_of(handled: bool, **held: int) -> ClaimsInHand:
    """Claims of groups with so many messages each; the receipts are the group and a number."""
    claims = ClaimsInHand()
    for group, count in held.items():
        names = [f"{group}{number}" for number in range(count)]
        claims.add(Claim(group, [HeldMessage(name, name, FAR, handled) for name in names]))
    return claims


def receipts_of(sqs: RecordingSqs) -> list[list[str]]:
    return [[entry["ReceiptHandle"] for entry in request] for request in sqs.requests]


async def test_what_was_handled_is_deleted_one_of_a_key_at_a_time(sqs: RecordingSqs, link: SqsLink) -> None:
    assert await Receipts(link, claims_of(True, a=3, b=1), QUEUE).delete() == []
    assert receipts_of(sqs) == [["a0", "b0"], ["a1"], ["a2"]]


async def test_nothing_of_a_key_is_deleted_behind_what_was_refused(sqs: RecordingSqs, link: SqsLink) -> None:
    sqs.refused = {"a1"}
    claims = claims_of(True, a=3)
    (lost,) = await Receipts(link, claims, QUEUE).delete()
    assert (lost.group, receipts_of(sqs)) == ("a", [["a0"], ["a1"]])


async def test_what_is_given_back_goes_from_the_last_to_the_first(sqs: RecordingSqs, link: SqsLink) -> None:
    claims = claims_of(False, a=3, b=1)
    await Receipts(link, claims, QUEUE).give_back()
    assert receipts_of(sqs) == [["a2", "b0"], ["a1"], ["a0"]]
    assert {entry["VisibilityTimeout"] for request in sqs.requests for entry in request} == {0}
    assert list(claims) == []


async def test_one_refused_receipt_makes_its_whole_key_unsure(sqs: RecordingSqs, link: SqsLink) -> None:
    sqs.refused = {"a1"}
    claims = ClaimsInHand()
    for group in ("a", "b"):
        claims.add(Claim(group, [HeldMessage(f"{group}{n}", f"{group}{n}", 100.0) for n in range(2)]))
    assert claims.is_sure("a0", 99.0)
    assert not claims.is_sure("a0", 100.0)
    refused = await Receipts(link, claims, QUEUE).prolong()
    assert [claim.group for claim in refused] == ["a"]
    claims.remove(refused[0])
    assert not claims.is_sure("a0", 99.0)
    assert claims.is_sure("b0", 200.0)


def sent_numbers(sqs: RecordingSqs, events: Sequence[Event]) -> list[list[int]]:
    return [[number_of(events[int(entry["Id"])]) for entry in request] for request in sqs.requests]


async def test_no_request_stores_two_of_a_key(sqs: RecordingSqs, link: SqsLink) -> None:
    sent = [*run_of("a", range(3)), *(event(f"key {n}", 100 + n) for n in range(11))]
    batch = await SqsPublisher(link).publish("topic", sent, [QUEUE], 1 << 20)
    assert [result.event_id for result in batch.results()] == [one.id for one in sent]
    assert sent_numbers(sqs, sent) == [[0, *range(100, 109)], [109, 110], [1], [2]]


async def test_what_follows_a_failure_in_its_key_is_not_sent(sqs: RecordingSqs, link: SqsLink) -> None:
    sent = [*run_of("a", range(3)), event("b", 7)]
    sqs.failing = {sent[1].id}
    batch = await SqsPublisher(link).publish("topic", sent, [QUEUE], 1 << 20)
    assert [result.event_id for result in batch.results()] == [sent[0].id, sent[3].id]
    assert sent_numbers(sqs, sent) == [[0, 7], [1]]


async def test_an_event_of_which_nothing_is_known_is_sent_again_as_the_same(sqs: RecordingSqs, link: SqsLink) -> None:
    (sent,), publisher = run_of("a", [1]), SqsPublisher(link)
    sqs.lost = {sent.id}
    batch = await publisher.publish("topic", [sent], [QUEUE], 1 << 20)
    assert batch.results() == []
    assert isinstance(batch.errors[0], BrokerUnavailable)
    sqs.lost = set()
    for _ in range(2):
        assert (await publisher.publish("topic", [sent], [QUEUE], 1 << 20)).results()
    ids = deque(request[0]["MessageDeduplicationId"] for request in sqs.requests)
    # The second has a result, so that the third is meant to come again.
    assert ids[0] == ids[1]
    assert ids[1] != ids[2]


async def test_an_event_is_stored_when_every_queue_has_it(sqs: RecordingSqs, link: SqsLink) -> None:
    (sent,) = run_of("a", [1])
    batch = await SqsPublisher(link).publish("topic", [sent], [QUEUE, f"{QUEUE}2"], 1 << 20)
    assert len(sqs.requests) == 2
    assert len(batch.results()) == 1
    batch.stored[QUEUE].clear()
    assert batch.results() == []
