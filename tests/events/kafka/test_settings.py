"""The URL of a cluster, the topics that are declared in it, and what their settings guarantee."""

import builtins
import sys
from collections.abc import Mapping
from typing import Any

import pytest

from souk.events.brokers.kafka.guarantees import RECORD_LIMIT, TopicFacts, guarantees_of, planned
from souk.events.brokers.kafka.open import open_broker
from souk.events.brokers.kafka.settings import settings_of
from souk.kernel.errors import ConfigurationError


def test_a_url_names_servers_and_credentials() -> None:
    found = settings_of("kafka://us%40er:p%2Fw@one,[::1]:19092?tls=true&ca=ca.pem&partitions=6&replicas=3&fsync=false")
    assert found.servers == "one:9092,[::1]:19092"
    assert (found.user, found.password, found.partitions, found.replicas, found.fsync) == ("us@er", "p/w", 6, 3, False)
    client = found.client()
    assert client["security.protocol"] == "SASL_SSL"
    assert client["ssl.ca.location"] == "ca.pem"
    assert client["sasl.password"] == "p/w"
    assert "p/w" not in repr(found)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("kafka://", "must be kafka://host:port"),
        ("kafka://secret@host:port", "must be kafka://host:port"),
        ("amqp://host", "must be kafka://host:port"),
        ("kafka://host?partition=3", "no option 'partition'; there is partitions"),
        ("kafka://host?partitions=0", "partitions must be 1 to 1000"),
        ("kafka://host?mechanism=GSSAPI", "mechanism must be one of"),
        ("kafka://host?ca=x", "mean nothing without tls=true"),
        ("kafka://host?tls=yes", "tls must be true or false"),
    ],
)
def test_a_wrong_url_is_one_clear_line(url: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        settings_of(url)
    assert "secret" not in str(caught.value)


def test_a_missing_client_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any) -> Any:
        if name.split(".")[0] == "confluent_kafka":
            raise ModuleNotFoundError(name=name)
        return real(name, *args)

    for name in [name for name in sys.modules if name.startswith("souk.events.brokers.kafka.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigurationError, match=r"souk-platform\[kafka\]"):
        open_broker("kafka://host")


def facts(replicas: int, config: Mapping[str, str]) -> TopicFacts:
    return TopicFacts("souk.order", replicas, {"retention.ms": "-1", "retention.bytes": "-1", **config})


@pytest.mark.parametrize("brokers", [1, 2, 3, 5])
def test_a_declared_topic_guarantees_everything(brokers: int) -> None:
    topic = planned("souk.order", settings_of("kafka://host"), brokers)
    found = guarantees_of([topic])
    assert (found.durable, found.ordered, found.replays) == ("", "", "")
    assert found.largest >= 1 << 20
    assert topic.record_limit == RECORD_LIMIT
    assert topic.replicas == (3 if brokers >= 3 else 1)


@pytest.mark.parametrize(
    ("replicas", "config", "says"),
    [
        (1, {"flush.messages": "1"}, ""),
        (1, {"flush.messages": "9223372036854775807"}, "loss of its disk loses every event"),
        (3, {"min.insync.replicas": "2"}, ""),
        (3, {"min.insync.replicas": "1"}, "min.insync.replicas is 1"),
        (3, {"min.insync.replicas": "1", "flush.messages": "1"}, ""),
        (3, {"min.insync.replicas": "2", "unclean.leader.election.enable": "true"}, "unclean.leader.election.enable"),
        (3, {"min.insync.replicas": "2", "cleanup.policy": "compact,delete"}, "cleanup.policy is compact"),
    ],
)
def test_settings_that_lose_events_are_named(replicas: int, config: Mapping[str, str], says: str) -> None:
    found = guarantees_of([facts(3, {"min.insync.replicas": "2"}), facts(replicas, config)]).durable
    assert says in found
    assert bool(found) == bool(says)


def test_one_replica_outlives_its_process_and_not_its_machine() -> None:
    says = guarantees_of([planned("souk.order", settings_of("kafka://host?fsync=false"), 1)]).durable
    assert "outlives a crash of the broker's process" in says
    assert "a crash of its machine may lose it" in says


def test_events_that_are_deleted_by_age_or_size_are_named() -> None:
    assert "keeps events for 7 d" in guarantees_of([facts(1, {"retention.ms": "604800000"})]).replays
    assert "up to 1000 octets" in guarantees_of([facts(1, {"retention.bytes": "1000"})]).replays


def test_the_smallest_topic_says_how_large_an_event_may_be() -> None:
    topics = [facts(1, {"max.message.bytes": "2000000"}), facts(1, {"max.message.bytes": "100000"})]
    assert guarantees_of(topics).largest == 100_000 - (16 << 10)
