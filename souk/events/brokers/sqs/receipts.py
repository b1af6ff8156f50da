"""What a consumer says to a queue of messages in its hand: delete them, prolong them, give them back."""

from time import monotonic
from typing import Any

from souk.events.broker import BrokerUnavailable
from souk.events.brokers.sqs.claims import Claim, ClaimsInHand, Part, parts
from souk.events.brokers.sqs.link import SqsLink


class Receipts:
    """Speaks of the claims in `claims` to the queue at `url`. Each method raises BrokerUnavailable."""

    def __init__(self, link: SqsLink, claims: ClaimsInHand, url: str) -> None:
        self._link = link
        self._claims = claims
        self._url = url
        self._visibility = link.settings.visibility
        self._patience = min(link.settings.patience, self._visibility / 3)

    async def delete(self) -> list[Claim]:
        """Deletes what was handled, of each group one message at a time; returns claims of which one was refused."""
        clients = await self._link.clients()
        while found := self._claims.deletable():
            refused: list[Claim] = []
            for part in parts(found):
                answer = await self._link.ask(
                    clients.sqs.delete_message_batch(QueueUrl=self._url, Entries=_entries(part)), self._patience
                )
                for number in _successful(answer):
                    self._claims.done(*part[number])
                refused += [part[number][0] for number in self._refused(answer)]
            if refused:
                return refused
        return []

    async def prolong(self) -> list[Claim]:
        """Keeps what is still to be handled; returns claims of which one was refused."""
        clients = await self._link.clients()
        refused: list[Claim] = []
        for part in parts(self._claims.expiring(monotonic() + 0.7 * self._visibility)):
            asked = monotonic()
            entries = _entries(part, VisibilityTimeout=self._visibility)
            answer = await self._link.ask(
                clients.sqs.change_message_visibility_batch(QueueUrl=self._url, Entries=entries), self._patience
            )
            for number in _successful(answer):
                part[number][1].until = asked + self._visibility
            # One that was handled meanwhile may have been deleted.
            refused += [part[number][0] for number in self._refused(answer) if not part[number][1].handled]
        return refused

    async def give_back(self) -> None:
        """Gives all to other consumers: of each group the last message first, so that none overtakes another."""
        clients = await self._link.clients()
        while found := [(claim, claim.held[-1]) for claim in self._claims]:
            for part in parts(found):
                entries = _entries(part, VisibilityTimeout=0)
                for claim, message in part:
                    self._claims.done(claim, message)
                await self._link.ask(
                    clients.sqs.change_message_visibility_batch(QueueUrl=self._url, Entries=entries), self._patience
                )

    def _refused(self, answer: Any) -> list[int]:
        """Returns the numbers of messages that are another consumer's by now, or deleted; raises for other failures."""
        failed = answer.get("Failed", [])
        for entry in failed:
            if not entry.get("SenderFault"):
                raise BrokerUnavailable(f"{self._link.settings.server}: {entry.get('Code')}: {entry.get('Message')}")
        return [int(entry["Id"]) for entry in failed]


def _entries(part: Part, **more: int) -> Any:
    return [{"Id": str(number), "ReceiptHandle": one.receipt, **more} for number, (_, one) in enumerate(part)]


def _successful(answer: Any) -> list[int]:
    return [int(entry["Id"]) for entry in answer.get("Successful", [])]
