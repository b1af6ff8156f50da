"""What the settings of topics guarantee, and what they do not.

Kafka answers an append when it is in the page cache of as many brokers as `min.insync.replicas` says (acks=all).
So it outlives a crash of a broker's process (kill -9). It outlives a crash of a machine if another machine has it
too, or if it was written to disk first (`flush.messages=1`). It outlives the loss of a disk only with replicas.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf

from souk.events.broker import Guarantees
from souk.events.brokers.kafka.settings import KafkaSettings

RECORD_LIMIT = (1 << 20) + (64 << 10)
"""`max.message.bytes` of a topic that `declare` makes: a payload of 1 MiB, and its attributes and key."""

ATTRIBUTES = 16 << 10
"""The octets of a message that are kept for its attributes and key when it is said how large a payload may be."""

_DAY = 86_400_000


@dataclass(frozen=True, slots=True)
class TopicFacts:
    """A topic: how many replicas each partition has, and its settings by Kafka's names."""

    name: str
    replicas: int
    config: Mapping[str, str]

    def number(self, name: str, default: int) -> int:
        """Returns a setting that is a number."""
        text = self.config.get(name, "")
        return int(text) if text.lstrip("-").isdecimal() else default

    @property
    def record_limit(self) -> int:
        """The most octets of a batch."""
        return self.number("max.message.bytes", 1_048_588)

    @property
    def replicated(self) -> bool:
        """Whether an event with a result is on two machines."""
        unclean = self.config.get("unclean.leader.election.enable") == "true"
        return self.replicas > 1 and self.number("min.insync.replicas", 1) > 1 and not unclean

    @property
    def kept_for(self) -> float:
        """For how many seconds an event is kept; a limit of octets counts as none that is known."""
        age = self.number("retention.ms", -1)
        return inf if age < 0 else age / 1_000

    @property
    def written(self) -> bool:
        """Whether an event with a result is on a disk."""
        return self.number("flush.messages", 1 << 62) <= 1


def planned(topic: str, settings: KafkaSettings, brokers: int) -> TopicFacts:
    """Returns a topic as `declare` makes it in a cluster of so many brokers.

    Nothing is ever deleted by age or size: Kafka would not ask whether every group has handled it.
    """
    replicas = settings.replicas or (3 if brokers >= 3 else 1)
    config = {
        "cleanup.policy": "delete",
        "retention.ms": "-1",
        "retention.bytes": "-1",
        "max.message.bytes": str(RECORD_LIMIT),
        "min.insync.replicas": str(max(1, min(2, replicas))),
        "unclean.leader.election.enable": "false",
    }
    if replicas == 1 and settings.fsync:
        config["flush.messages"] = "1"
    return TopicFacts(topic, replicas, config)


def guarantees_of(topics: Sequence[TopicFacts]) -> Guarantees:
    """Returns what is guaranteed for all of these topics."""
    return Guarantees(
        durable="; ".join(filter(None, map(_not_durable, topics))),
        replays="; ".join(filter(None, map(_not_kept, topics))),
        keeps=min((topic.kept_for for topic in topics), default=inf),
        largest=max(0, min((topic.record_limit for topic in topics), default=RECORD_LIMIT) - ATTRIBUTES),
    )


def _not_durable(topic: TopicFacts) -> str:
    if "compact" in topic.config.get("cleanup.policy", ""):
        return f"{topic.name}: cleanup.policy is compact, so of each key the broker keeps only the newest event"
    if topic.replicated or topic.written:
        return ""
    why = "it is in the page cache of one machine and not on its disk (flush.messages is not 1)"
    if topic.replicas < 2:
        cause, lost = "one replica", "the loss of its disk loses every event"
    elif topic.config.get("unclean.leader.election.enable") == "true":
        cause, lost = "unclean.leader.election.enable", "a replica that lacks events may become the leader"
    else:
        cause, lost = "min.insync.replicas is 1", "so may the loss of its disk"
    return (
        f"{topic.name} ({cause}): an event with a result outlives a crash of the broker's process, but a crash of "
        f"its machine may lose it, because {why}; {lost}"
    )


def _not_kept(topic: TopicFacts) -> str:
    age, size = topic.number("retention.ms", -1), topic.number("retention.bytes", -1)
    if age < 0 and size < 0:
        return ""
    limit = f"for {age / _DAY:g} d" if age >= 0 else f"up to {size} octets a partition"
    return f"{topic.name} keeps events {limit}; a group that is away for longer, or is new, does not get older ones"
