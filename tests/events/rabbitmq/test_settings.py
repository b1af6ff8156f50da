"""The URL of a RabbitMQ broker."""

import builtins
import sys
from typing import Any

import pytest

from souk.events.brokers.rabbitmq.open import open_broker
from souk.events.brokers.rabbitmq.settings import settings_of
from souk.kernel.errors import ConfigurationError


def test_a_url_names_the_server_and_what_the_client_knows() -> None:
    found = settings_of("amqps://us%40er:p%2Fw@[::1]/orders?heartbeat=5&ca=a%20b.pem")
    assert (found.server, found.heartbeat) == ("[::1]:5671", 5)
    assert found.client_url == "amqps://us%40er:p%2Fw@[::1]/orders?heartbeat=5&name=souk&cafile=a+b.pem"
    assert "p%2Fw" not in repr(found)
    assert settings_of("amqp://host").server == "host:5672"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("amqp://", "must be amqp://host:port"),
        ("amqp://user:secret@host:port", "must be amqp://host:port"),
        ("kafka://host", "must be amqp://host:port"),
        ("amqp://host?heart_beat=3", "no option 'heart_beat'; there is heartbeat"),
        ("amqp://host?heartbeat=0", "heartbeat must be 1 to 60"),
        ("amqp://host?heartbeat=x", "heartbeat must be 1 to 60"),
        ("amqp://host?ca=x", "mean nothing without amqps:"),
    ],
)
def test_a_wrong_url_is_one_clear_line(url: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as refused:
        open_broker(url)
    assert "secret" not in str(refused.value)


def test_a_client_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    found = builtins.__import__

    def without_client(name: str, *arguments: Any) -> Any:
        if name.partition(".")[0] == "aiormq":
            raise ModuleNotFoundError(name="aiormq")
        return found(name, *arguments)

    for name in [one for one in sys.modules if one.startswith("souk.events.brokers.rabbitmq.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", without_client)
    with pytest.raises(ConfigurationError, match=r"pip install 'souk-platform\[rabbitmq\]'"):
        open_broker("amqp://host")
