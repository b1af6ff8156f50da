"""The exchange of a topic and the queues of its groups: their names, and how they are made."""

from collections.abc import Collection
from zlib import crc32

from aiormq.abc import AbstractChannel, FieldTable

from souk.events.brokers.rabbitmq.link import Link, NotPermitted

PARTITIONS = 8
"""The partitions of a topic: the most consumers of a group that can share its events.

It divides evenly among 1, 2, 4 and 8. Within one consumer keys do not wait for each other, so a partition costs
without giving more: in each group it is a queue, which is a Raft group with a log and processes of its own. The
number must never change, because keys would move to other partitions and lose their order.
"""


def partition_of(key: str) -> int:
    """Returns the partition of a key, which is its routing key, too."""
    return crc32(key.encode()) % PARTITIONS


def queue_of(topic: str, group: str, partition: int) -> str:
    """Returns the name of a group's queue."""
    return f"{topic}/{group}/{partition}"


def members_of(topic: str, group: str) -> str:
    """Returns the name of a queue without messages: its consumers are those of the group, which the broker counts."""
    return f"{topic}/{group}/members"


def arguments_of(version: tuple[int, ...]) -> FieldTable:
    """Returns what makes a queue keep everything in order.

    Without a limit of deliveries, because handlers are called until they succeed: who gives an event up parks it.
    RabbitMQ 4 has a limit unless it is -1; before that there is none, and -1 would drop an event that comes again.
    An operator's policy that bounds the queue makes the broker refuse new events; it does not drop old ones.
    """
    arguments: FieldTable = {
        "x-queue-type": "quorum",
        "x-single-active-consumer": True,
        "x-overflow": "reject-publish",
    }
    if version >= (4,):
        arguments["x-delivery-limit"] = -1
    return arguments


async def declare(link: Link, topic: str, groups: Collection[str]) -> list[str]:
    """Makes what is missing, and returns what the broker says of queues that are not as they would be made."""
    channel = await link.channel()
    await link.ask(channel.exchange_declare(topic, exchange_type="direct", durable=True))
    differing = await _declare_queues(link, [queue_of(topic, group, n) for group in groups for n in range(PARTITIONS)])
    for group in groups:
        for partition in range(PARTITIONS):
            await bind(link, channel, topic, group, partition)
    await link.leave(channel)
    return differing


async def _declare_queues(link: Link, queues: Collection[str]) -> list[str]:
    differing: list[str] = []
    channel, arguments = await link.channel(watched=False), arguments_of(link.version)
    for queue in queues:
        try:
            await link.ask(channel.queue_declare(queue, durable=True, arguments=arguments))
        except NotPermitted as error:
            # This ended the channel.
            differing.append(str(error))
            channel = await link.channel(watched=False)
    await link.ask(channel.close(None))
    return differing


async def bind(link: Link, channel: AbstractChannel, topic: str, group: str, partition: int) -> None:
    """Lets a queue have the events of its partition. Raises NotDeclared when the queue or the exchange is gone."""
    await link.ask(channel.queue_bind(queue_of(topic, group, partition), topic, str(partition)))
