"""A whole system whose events go through a broker: what arrives, what waits, what is parked, and what is refused."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from email import message_from_bytes
from pathlib import Path

import pytest
from shop.order.v1.order_pb2 import OrderConfirmed
from soukapi.v1.event_pb2 import Event

from souk.events.brokers.by_url import open_broker
from souk.events.pubsub.topics import topic_of
from souk.testing.processes import run, run_now
from souk.testing.servers.valkey import DurableValkeyServer
from souk.testing.system import System, embedded, processes, until

LIMIT = 40.0


@pytest.fixture
async def valkey(tmp_path: Path) -> AsyncIterator[DurableValkeyServer]:
    with DurableValkeyServer(tmp_path / "valkey") as server:
        yield server


def souk(*arguments: str) -> str:
    """What a command prints; it must succeed."""
    ended = run_now(*arguments)
    assert ended.status == 0, ended.out + ended.err
    return ended.out


def order(system: System) -> None:
    souk("order", "--url", system.url)


def mails(system: System) -> set[str]:
    """The Message-IDs of the mails in the mailbox."""
    files = (system.data / "notification" / "mailbox").glob("*.eml")
    return {str(message_from_bytes(file.read_bytes())["Message-ID"]) for file in files}


@pytest.mark.parametrize("mode", [embedded, processes])
async def test_orders_go_on_while_the_broker_is_away_and_every_mail_comes(
    mode: Callable[..., AbstractContextManager[System]], valkey: DurableValkeyServer, tmp_path: Path
) -> None:
    await valkey.start()
    with mode(tmp_path, settings={"SOUK_BROKER": valkey.url}) as system:
        order(system)
        until(lambda: len(mails(system)) == 1, LIMIT, "the first mail")
        valkey.kill()
        order(system)
        assert len(mails(system)) == 1
        await valkey.start()
        order(system)
        until(lambda: len(mails(system)) == 3, LIMIT, "every mail")


async def test_a_system_starts_without_its_broker(valkey: DurableValkeyServer, tmp_path: Path) -> None:
    with embedded(tmp_path, settings={"SOUK_BROKER": valkey.url}) as system:
        order(system)
        await valkey.start()
        until(lambda: len(mails(system)) == 1, LIMIT, "the mail, once the broker is there")


async def test_what_a_consumer_refuses_is_parked_where_it_came_from(
    valkey: DurableValkeyServer, tmp_path: Path
) -> None:
    await valkey.start()
    with embedded(tmp_path, settings={"SOUK_BROKER": valkey.url}) as system:
        broker = open_broker(valkey.url)
        poisoned = Event(
            id="EVT-bad", type=OrderConfirmed.DESCRIPTOR.full_name, source="order", key="k", payload=b"\xff"
        )
        await broker.publish(topic_of(poisoned.type), [poisoned])
        await broker.close()
        until(lambda: "EVT-bad" in system.log, LIMIT, "the log names it")
        system.stop()
        shown = souk("parked", "--data", str(system.data), "--json")
    assert '"EVT-bad"' in shown
    assert "notification/mails" in shown


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("{url}", "would lose events: appendonly is off"),
        ("nats://127.0.0.1", "must begin with one of redis://"),
        ("redis://127.0.0.1?lease=never", "cannot be read"),
    ],
)
async def test_a_broker_that_is_not_fit_is_refused_at_the_start(tmp_path: Path, url: str, says: str) -> None:
    with DurableValkeyServer(tmp_path / "valkey", {"appendonly": "no"}) as server:
        await server.start()
        more = ("--data", str(tmp_path / "d"), "--port", "0", "--broker", url.format(url=server.url))
        ended = await run("up", "--demo", *more)
    assert ended.status != 0
    assert says in ended.err
    assert "Traceback" not in ended.err
