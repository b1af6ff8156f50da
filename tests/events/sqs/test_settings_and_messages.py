"""The URL of SQS, and what names and messages may be there."""

import builtins
import sys
from pathlib import Path
from typing import Any

import pytest

from souk.events.brokers.sqs.messages import (
    OutgoingMessage,
    body_of,
    event_of_message,
    payload_of,
    poison,
    requests_of,
)
from souk.events.brokers.sqs.names import message_group, queue_name, queues_begin, topic_name
from souk.events.brokers.sqs.open import open_broker
from souk.events.brokers.sqs.settings import settings_of
from souk.kernel.errors import ConfigurationError
from souk.testing.brokers.harness import event


@pytest.fixture
def without_aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))


def test_a_url_names_a_server_or_aws() -> None:
    found = settings_of("sqs://key:s%2Fcret@[::1]:9324/?tls=true&sns=host:4566&visibility=60&wait=20&prefix=shop-")
    assert (found.endpoint, found.sns, found.has_sns) == ("https://[::1]:9324", "https://host:4566", True)
    assert (found.key, found.secret, found.server) == ("key", "s/cret", "SQS at [::1]:9324")
    assert (found.visibility, found.wait, found.prefix) == (60, 20, "shop-")
    assert "s/cret" not in repr(found)
    at_aws = settings_of("sqs:///?region=eu-west-1")
    assert (at_aws.endpoint, at_aws.has_sns, at_aws.region, at_aws.server) == ("", True, "eu-west-1", "SQS at AWS")
    assert not settings_of("sqs://127.0.0.1:9324").has_sns


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("sqs://host:port", "must be sqs:///"),
        ("sqs://host/queue", "must be sqs:///"),
        ("sqs://hunter2@host", "must be sqs:///"),
        ("sqs:///?region=x&sns=host", "sns means nothing at AWS"),
        ("sqs:///?region=x&tls=true", "tls means nothing at AWS"),
        ("sqs://host?visibilty=3", "no option 'visibilty'; there is visibility"),
        ("sqs://host?visibility=1", "visibility must be 2 to 3600 seconds"),
        ("sqs://host?wait=x", "wait must be 1 to 20 seconds"),
        ("sqs://host?wait=2&visibility=3", "wait must be at most half of visibility"),
        ("sqs://host?tls=yes", "tls must be true or false"),
        ("sqs://host?prefix=a_b", "prefix must be at most 20"),
        ("sqs:///", "needs a region"),
    ],
)
@pytest.mark.usefixtures("without_aws")
def test_a_wrong_url_is_one_clear_line(url: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as refused:
        open_broker(url)
    assert "hunter2" not in str(refused.value)


@pytest.mark.usefixtures("without_aws")
def test_the_region_may_be_where_the_clients_of_aws_look_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    assert open_broker("sqs:///")
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(ConfigurationError, match="nobody"):
        open_broker("sqs:///")


def test_names_are_what_sqs_allows_and_differ() -> None:
    assert queue_name("", "shop.order", "notification/mails") == "shop_2eorder__notification_2fmails.fifo"
    assert topic_name("test-", "shop.order") == "test-shop_2eorder.fifo"
    topics = ["a.b", "a_b", "a-b", "a", "a__b", "ü" * 40, "ü" * 41, "x" * 60, "x" * 61]
    groups = ["g/h", "g_h", "g" * 90, "g" * 91]
    names = [queue_name("p" * 20, topic, group) for topic in topics for group in groups]
    assert len(set(names)) == len(names)
    assert all(
        len(name) <= 80 and name.replace("-", "").replace("_", "").replace(".fifo", "").isalnum() for name in names
    )
    for topic in topics:
        mine = [name for name in names if name.startswith(queues_begin("p" * 20, topic))]
        assert mine == [queue_name("p" * 20, topic, group) for group in groups]


def test_each_key_has_a_message_group_of_its_own() -> None:
    keys = ["", "a", "a b", "ключ", "ORD-1", "x" * 128, "x" * 129, "sha256:a", message_group("")]
    groups = [message_group(key) for key in keys]
    assert len(set(groups)) == len(keys)
    assert groups[4] == "ORD-1"
    assert all(1 <= len(group) <= 128 and group.isascii() for group in groups)


def test_an_event_comes_back_as_it_was() -> None:
    sent = event("ключ \ufffe\uffff", 7, size=100)
    body = body_of(sent)
    assert not {"\ufffe", "\uffff"} & set(body)
    assert event_of_message({"Body": body}) == sent


def test_a_message_that_is_no_event_has_no_type_and_one_id() -> None:
    found = event_of_message({"Body": "hello", "MessageId": "id of it"})
    assert (found.type, found.id, found.payload) == ("", "id of it", b"hello")


def test_what_is_too_large_is_said_before_it_is_sent() -> None:
    largest = payload_of(1 << 20)
    fits, too_large, attributes = event("a", 1, size=largest), event("a", 1, size=largest + 1), event("a" * 12_000, 1)
    assert not poison(fits, body_of(fits), 1 << 20)
    assert f"the most is {largest}" in poison(too_large, body_of(too_large), 1 << 20)
    assert "the most is 32768" in poison(attributes, body_of(attributes), 32 << 10)


def test_requests_are_as_large_as_is_allowed() -> None:
    messages = [OutgoingMessage(n, "g", "x" * 40, "d") for n in range(25)]
    assert [len(request) for request in requests_of(messages, 1_000)] == [10, 10, 5]
    assert [len(request) for request in requests_of(messages[:5], 100)] == [2, 2, 1]
    assert [len(request) for request in requests_of(messages[:2], 10)] == [1, 1]


def test_a_client_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    found = builtins.__import__

    def without_client(name: str, *arguments: Any) -> Any:
        if name.partition(".")[0] == "aiobotocore":
            raise ModuleNotFoundError(name="aiobotocore")
        return found(name, *arguments)

    for name in [one for one in sys.modules if one.startswith("souk.events.brokers.sqs.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", without_client)
    with pytest.raises(ConfigurationError, match=r"pip install 'souk-platform\[sqs\]'"):
        open_broker("sqs://host")
