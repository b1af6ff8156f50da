"""How far consumers are behind: in the outboxes of a system, and at its broker."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from souk.events import store
from souk.events.broker import Broker
from souk.events.store import PARKED, PENDING
from souk.store.database import Database, Transaction

NOT_ROUTED = "not routed yet"
"""Stands for the consumers of events that no relay has taken yet."""


@dataclass(frozen=True, slots=True)
class ConsumerLag:
    """What a `consumer` ("service/consumer") has not had: of the outbox of `service`, or of the broker's `topic`.

    `age` is that of its oldest pending event, in seconds; a broker does not tell it.
    """

    consumer: str
    service: str
    topic: str
    pending: int
    parked: int
    age: float | None


async def in_outboxes(databases: Mapping[str, Database]) -> list[ConsumerLag]:
    """Returns the consumers that are behind, by the services' databases; one that has every event is left out."""
    found: list[ConsumerLag] = []
    for service, database in databases.items():

        async def read(tx: Transaction, service: str = service) -> list[ConsumerLag]:
            return await _of(tx, service)

        found += await database.read(read)
    return found


async def at_broker(broker: Broker, groups: Mapping[str, Sequence[str]]) -> list[ConsumerLag]:
    """Returns what the groups of each topic have not handled; those that have handled everything are left out.

    Raises BrokerUnavailable.
    """
    pairs = [(topic, group) for topic, names in groups.items() for group in names]
    lags = [ConsumerLag(group, "", topic, await broker.backlog(topic, group), 0, None) for topic, group in pairs]
    return [lag for lag in lags if lag.pending]


async def _of(tx: Transaction, service: str) -> list[ConsumerLag]:
    counts = await store.counts(tx, {})
    names = sorted({consumer for consumer, _ in counts})
    ages = await store.lag(tx, dict.fromkeys(names, ()))
    found = [
        ConsumerLag(name, service, "", counts.get((name, PENDING), 0), counts.get((name, PARKED), 0), ages[name])
        for name in names
    ]
    if waiting := await store.not_routed(tx):
        found.append(ConsumerLag(NOT_ROUTED, service, "", waiting.events, 0, waiting.age))
    return found
