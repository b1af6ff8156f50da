"""Mails by SMTP, with a real server that does everything that a mail server can do wrong."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from shop.order.v1 import order_pb2 as order
from shop.user.v1 import user_pb2 as user

from marketplace.notification.adapters.smtp.connections import KEPT_FOR, MOST, SmtpConnections
from marketplace.notification.adapters.smtp.postman import SmtpPostman
from marketplace.notification.domain import Contact, Letter, Rendered, Sender
from marketplace.notification.ports import DeliveryPostponed, DeliveryRefused, RecipientGone
from marketplace.notification.service import build
from marketplace.notification.settings import SmtpSettings
from souk.events.consumer import is_away
from souk.kernel.clock import SystemClock
from souk.kernel.errors import ConfigurationError, PoisonedEvent
from souk.runtime.service import ServiceContext
from souk.testing.certificates import Authority
from tests.marketplace.notification.mail_server import DROP, PASSWORD, STAGES, STALL, USER, MailServer, mail_server
from tests.marketplace.notification.test_mails import event_of, mailbox

SHORT = 0.3
"""Seconds; only tests of a server that does not answer wait for that long."""


class Clock(SystemClock):
    """A clock that a test sets forward."""

    ahead = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead


def letter(number: int = 1, to: str = "mina@example.com") -> Letter:
    return Letter(f"EVT-{number}", Contact(to, "Mina"), Rendered("Hello", f"text {number}\n.\n.x", "<p>x</p>"), 0)


@asynccontextmanager
async def sending_to(server: MailServer, clock: Clock | None = None, **settings: Any) -> AsyncIterator[SmtpPostman]:
    clock = clock or Clock()
    connections = SmtpConnections(SmtpSettings("127.0.0.1", server.port, **settings), "souk.invalid", clock)
    postman = SmtpPostman(connections, Sender(), clock)
    try:
        yield postman
    finally:
        await postman.close()


def context_of(authority: Authority, name: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*authority.issue(name))
    return context


async def test_mails_go_through_one_kept_session_as_they_are() -> None:
    async with mail_server() as server, sending_to(server) as postman:
        for number in range(5):
            await postman.take(letter(number))
        assert server.sessions == 1
    assert [mail["Message-ID"] for mail in server.mails] == [f"<EVT-{number}@souk.invalid>" for number in range(5)]
    assert server.envelopes[0] == ("orders@souk.invalid", ["mina@example.com"])
    body = server.mails[3].get_body(("plain",))
    assert body is not None
    assert body.get_content().splitlines() == ["text 3", ".", ".x"]


async def test_many_at_once_share_few_sessions() -> None:
    async with mail_server(hold=asyncio.Event()) as server, sending_to(server) as postman:
        taken = [asyncio.ensure_future(postman.take(letter(number))) for number in range(20)]
        while server.held < MOST:
            await asyncio.sleep(0.001)
        assert server.most_at_once == MOST
        assert server.hold is not None
        server.hold.set()
        await asyncio.gather(*taken)
        assert server.sessions == MOST
    assert len({mail["Message-ID"] for mail in server.mails}) == len(server.mails) == 20


async def test_a_session_that_was_unused_for_long_is_not_used_again() -> None:
    clock = Clock()
    async with mail_server() as server, sending_to(server, clock) as postman:
        await postman.take(letter(1))
        clock.ahead = KEPT_FOR + 1
        await postman.take(letter(2))
        assert server.sessions == 2


@pytest.mark.parametrize("moment", ["restarted", "cut"])
async def test_a_restart_of_the_server_between_mails_is_not_noticed(moment: str) -> None:
    async with mail_server() as server, sending_to(server) as postman:
        await asyncio.gather(*(postman.take(letter(number)) for number in range(MOST)))
        if moment == "restarted":
            await server.stop()
            await server.start()
        else:
            server.cut()
        await asyncio.gather(*(postman.take(letter(number)) for number in range(MOST, 3 * MOST)))
    assert len(server.mails) == 3 * MOST


@pytest.mark.parametrize("mood", ["421 4.3.2 idle for too long", DROP])
@pytest.mark.parametrize("stage", ["MAIL", "RCPT"])
async def test_a_kept_session_that_ends_before_the_mail_is_handed_over_is_replaced(stage: str, mood: str) -> None:
    async with mail_server() as server, sending_to(server) as postman:
        await postman.take(letter(1))
        server.moods[stage] = mood
        taken = asyncio.ensure_future(postman.take(letter(2)))
        while server.commands.count(stage) < 2:
            await asyncio.sleep(0)
        server.moods.clear()
        await taken
    assert len(server.mails) == 2


async def test_nobody_listens() -> None:
    async with mail_server() as server, sending_to(server) as postman:
        await server.stop()
        with pytest.raises(DeliveryPostponed) as failed:
            await postman.take(letter())
        assert is_away(failed.value)
        await server.start()
        await postman.take(letter())
    assert len(server.mails) == 1


@pytest.mark.parametrize("mood", [STALL, DROP])
@pytest.mark.parametrize("stage", STAGES[:-1])
async def test_a_server_that_stalls_or_hangs_up_anywhere(stage: str, mood: str, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    wanted = {"tls": "starttls", "ca": authority.ca, "user": USER, "password": PASSWORD, "timeout": SHORT}
    async with (
        mail_server(tls=context_of(authority, "mail"), login=True, moods={stage: mood}) as server,
        sending_to(server, **wanted) as postman,
    ):
        with pytest.raises(DeliveryPostponed) as failed:
            await postman.take(letter())
        assert is_away(failed.value)
        server.moods.clear()
        await postman.take(letter())
    # What became of a mail that was handed over is not known: the same mail is sent again.
    assert len(server.mails) == (2 if stage == "CONTENT" else 1)
    assert {mail["Message-ID"] for mail in server.mails} == {"<EVT-1@souk.invalid>"}
    assert len({mail.as_bytes() for mail in server.mails}) == 1


@pytest.mark.parametrize(
    ("stage", "reply", "end"),
    [
        ("GREETING", "554 5.7.1 no service for you", DeliveryPostponed),
        ("GREETING", "421 4.3.2 shutting down", DeliveryPostponed),
        ("MAIL", "451 4.7.1 later", DeliveryPostponed),
        ("MAIL", "550 5.7.1 sender refused", DeliveryPostponed),
        ("MAIL", "530 5.7.0 log in first", DeliveryPostponed),
        ("MAIL", "552 5.3.4 too large", DeliveryRefused),
        ("RCPT", "450 4.2.0 greylisted", DeliveryPostponed),
        ("RCPT", "452 4.2.2 mailbox full", DeliveryPostponed),
        ("RCPT", "550 5.1.1 <mina@example.com> unknown", RecipientGone),
        ("RCPT", "550 5.2.1 disabled", RecipientGone),
        ("RCPT", "551 not here", RecipientGone),
        ("RCPT", "556 5.1.10 takes no mail", RecipientGone),
        ("RCPT", "550 no", DeliveryRefused),
        ("RCPT", "550 5.7.1 refused by <mina@example.com>", DeliveryRefused),
        ("RCPT", "550 5.7.25 no reverse DNS", DeliveryPostponed),
        ("RCPT", "554 5.1.8 sender's domain does not exist", DeliveryPostponed),
        ("DATA", "451 4.3.0 later", DeliveryPostponed),
        ("DATA", "554 5.6.0 no", DeliveryRefused),
        ("CONTENT", "450 4.7.1 later", DeliveryPostponed),
        ("CONTENT", "554 5.7.1 spam for mina@example.com", DeliveryRefused),
        ("CONTENT", "550 5.7.26 not authenticated", DeliveryPostponed),
        ("CONTENT", "not a reply at all", DeliveryPostponed),
    ],
)
async def test_each_refusal_ends_as_it_should(stage: str, reply: str, end: type[Exception]) -> None:
    async with mail_server(moods={stage: reply}) as server, sending_to(server, timeout=2.0) as postman:
        with pytest.raises(end) as refused:
            await postman.take(letter())
        assert is_away(refused.value) == (end is DeliveryPostponed)
        assert "example.com" not in str(refused.value)
        assert server.mails == []
        server.moods.clear()
        await postman.take(letter(2))  # nothing is left of the refused one
    assert [mail["Message-ID"] for mail in server.mails] == ["<EVT-2@souk.invalid>"]
    assert server.envelopes == [("orders@souk.invalid", ["mina@example.com"])]


async def test_a_session_is_kept_after_a_refusal_unless_it_cannot_be_reset() -> None:
    async with mail_server(moods={"RCPT": "550 5.1.1 no"}) as server, sending_to(server) as postman:
        for number in range(3):
            with pytest.raises(RecipientGone):
                await postman.take(letter(number))
        assert server.sessions == 1
        server.moods["RSET"] = "500 what"
        with pytest.raises(RecipientGone):
            await postman.take(letter(4))
        server.moods.clear()
        await postman.take(letter(5))
        assert server.sessions == 2


@pytest.mark.parametrize("tls", ["starttls", "tls"])
async def test_login_and_encryption(tls: str, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    wanted = {"tls": tls, "ca": authority.ca, "user": USER}
    options = {"tls": context_of(authority, "mail"), "wrapped": tls == "tls", "login": True}
    async with mail_server(**options) as server:
        async with sending_to(server, password=PASSWORD, **wanted) as postman:
            await postman.take(letter(1))
        async with sending_to(server, password="wrong", **wanted) as postman:
            for number in range(2, 4):
                with pytest.raises(DeliveryPostponed, match="our login: 535"):
                    await postman.take(letter(number))
    assert len(server.mails) == 1


async def test_a_wrong_password_is_logged_once_and_not_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with mail_server(login=True) as server, sending_to(server, user=USER, password="wrong-secret") as postman:
        for number in range(3):
            with pytest.raises(DeliveryPostponed):
                await postman.take(letter(number))
    shown = "".join(capsys.readouterr())
    assert shown.count("mails wait") == 1
    assert "535" in shown
    assert "wrong-secret" not in shown


@pytest.mark.parametrize("user_name", ["", USER])
async def test_a_server_without_starttls_gets_nothing_when_it_was_asked_for(user_name: str) -> None:
    async with mail_server(login=bool(user_name)) as server:
        async with sending_to(server, tls="starttls", user=user_name, password=PASSWORD) as postman:
            with pytest.raises(DeliveryPostponed, match="STARTTLS"):
                await postman.take(letter())
        assert "AUTH" not in server.commands
        assert "MAIL" not in server.commands


@pytest.mark.parametrize("tls", ["starttls", "tls"])
@pytest.mark.parametrize("wrong", ["another authority", "another name"])
async def test_a_certificate_that_proves_nothing_ends_the_session(tls: str, wrong: str, tmp_path: Path) -> None:
    ours, theirs = Authority(tmp_path), Authority(tmp_path, "theirs")
    context = context_of(theirs if wrong == "another authority" else ours, "mail")
    host = "127.0.0.2" if wrong == "another name" else "127.0.0.1"
    async with mail_server(tls=context, wrapped=tls == "tls", login=True, host=host) as server:
        settings = SmtpSettings(host, server.port, tls, USER, PASSWORD, ours.ca)
        postman = SmtpPostman(SmtpConnections(settings, "souk.invalid", Clock()), Sender(), Clock())
        with pytest.raises(DeliveryPostponed, match="certificate"):
            await postman.take(letter())
        assert "AUTH" not in server.commands
        await postman.close()


async def test_a_mail_goes_on_when_its_event_is_given_up_and_is_not_sent_twice() -> None:
    async with mail_server(hold=asyncio.Event()) as server, sending_to(server) as postman:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await postman.take(letter())
        again = asyncio.ensure_future(postman.take(letter()))
        while not server.held:
            await asyncio.sleep(0.001)
        assert server.hold is not None
        server.hold.set()
        await again
        await postman.take(letter())
    assert len(server.mails) == 1


async def test_what_is_on_its_way_at_the_end_is_waited_for() -> None:
    async with mail_server(hold=asyncio.Event()) as server, sending_to(server) as postman:
        taken = asyncio.ensure_future(postman.take(letter()))
        while not server.held:
            await asyncio.sleep(0.001)
        drained = asyncio.ensure_future(postman.drain())
        await asyncio.sleep(0.01)
        assert not drained.done()
        assert server.hold is not None
        server.hold.set()
        await drained
        await taken
    assert len(server.mails) == 1


async def test_a_mail_that_is_put_off_for_long_is_refused_once_others_were_taken() -> None:
    clock = Clock()
    async with mail_server() as server, sending_to(server, clock) as postman:
        server.moods["RCPT"] = "452 4.2.2 mailbox full"
        with pytest.raises(DeliveryPostponed):
            await postman.take(letter(1))
        clock.ahead = 601.0
        with pytest.raises(DeliveryPostponed):  # as all mails may be put off
            await postman.take(letter(1))
        server.moods.clear()
        await postman.take(letter(2))
        server.moods["RCPT"] = "452 4.2.2 mailbox full"
        with pytest.raises(DeliveryRefused, match="600 s"):
            await postman.take(letter(1))


@pytest.mark.parametrize(
    "address",
    ["mina@example.com\r\nRCPT TO:<all@example.com>", "m@x>\r\nDATA", "мина@example.com", "a b@c.d", "a@b> SIZE=1", ""],
)
async def test_an_address_cannot_hold_a_command_or_what_is_not_ascii(address: str) -> None:
    async with mail_server() as server, sending_to(server) as postman:
        with pytest.raises(DeliveryRefused, match="address"):
            await postman.take(letter(1, address))
        assert server.commands == []


async def test_long_and_foreign_texts_arrive_whole() -> None:
    text = "ü" * 5_000 + "\n" + "شكرا " * 400
    long = Letter(
        "EVT-1", Contact("mina@example.com", "Мина ミナ"), Rendered("Ünïcode " * 30, text, f"<p>{text}</p>"), 0
    )
    async with mail_server() as server, sending_to(server) as postman:
        await postman.take(long)
    (mail,) = server.mails
    body = mail.get_body(("plain",))
    assert body is not None
    assert body.get_content().splitlines() == text.splitlines()
    assert mail["Subject"].strip() == ("Ünïcode " * 30).strip()
    assert mail["To"].addresses[0].display_name == "Мина ミナ"


def confirmed(placed: order.Order) -> Any:
    return event_of(order.OrderConfirmed(user_id="U-1", order=placed))


def with_smtp(host: ServiceContext, url: str, **more: str) -> ServiceContext:
    return replace(host, settings={"smtp": url, **more})


async def test_the_service_sends_to_the_server_of_the_setting(
    host: ServiceContext, placed: order.Order, users: Any, tmp_path: Path
) -> None:
    async with mail_server(login=True) as server:
        url = f"smtp://{USER}:{quote(PASSWORD, safe='')}@127.0.0.1:{server.port}"
        secret = tmp_path / "url"
        secret.write_text(f"{url}\n")
        parts = await build(with_smtp(host, f"@{secret}", sender="The Shop <shop@example.com>"))
        await parts.consumers["mails"](confirmed(placed))
        server.moods["RCPT"] = "550 5.1.1 no such user"
        await parts.consumers["mails"](event_of(order.OrderShipped(user_id="U-1", order=placed), "EVT-2"))
        server.moods["RCPT"] = "550 5.7.1 no"
        with pytest.raises(PoisonedEvent, match=r"550 5\.7\.1"):
            await parts.consumers["mails"](event_of(order.OrderCancelled(user_id="U-1", order=placed), "EVT-3"))
        server.moods["RCPT"] = "450 later"
        with pytest.raises(DeliveryPostponed):
            await parts.consumers["mails"](event_of(order.OrderCancelled(user_id="U-1", order=placed), "EVT-4"))
        await parts.drain()
        holding = asyncio.ensure_future(parts.tasks["postman"]())
        await asyncio.sleep(0)
        holding.cancel()
        await asyncio.gather(holding, return_exceptions=True)
    (mail,) = server.mails
    assert mail["From"] == "The Shop <shop@example.com>"
    assert mail["Message-ID"] == "<EVT-1@example.com>"
    assert mailbox(tmp_path) == {}
    counts, *_ = parts.collectors
    found = {s.labels["outcome"]: s.value for m in counts.collect() for s in m.samples if s.name.endswith("_total")}
    assert found == {"sent": 1, "suppressed": 1, "refused": 1, "postponed": 1}


async def test_an_address_that_is_none_parks_the_event(host: ServiceContext, placed: order.Order, users: Any) -> None:
    users.contacts["U-1"] = user.Contact(email="mina@пример.example", name="Mina")
    parts = await build(host)
    with pytest.raises(PoisonedEvent, match="address"):
        await parts.consumers["mails"](confirmed(placed))


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({"smtp": "http://mail"}, "smtp must read"),
        ({"smtp": "smtp://"}, "smtp must read"),
        ({"smtp": "smtp://mail:0"}, "smtp must read"),
        ({"smtp": "smtp://mail:99999"}, "smtp must read"),
        ({"smtp": "smtp://mail/path"}, "smtp must read"),
        ({"smtp": "smtps://u:hunter2@mail?starttls"}, "smtp must read"),
        ({"smtp": "smtp://mail?tls"}, "smtp must read"),
        ({"smtp": "smtp://u:hunter2@mail"}, "no TLS"),
        ({"smtp": "@/nowhere/hunter2"}, "names a file that cannot be read"),
        ({"smtp": "smtps://mail", "smtp_timeout": "0"}, "smtp_timeout must be seconds"),
        ({"smtp": "smtps://mail", "smtp_ca": "/nowhere"}, "smtp_ca /nowhere cannot be used"),
        ({"sender": "nobody"}, "sender must read"),
        ({"sender": "A <a@b.c>\r\nBcc: x@y.z"}, "sender must read"),
    ],
)
async def test_a_wrong_setting_stops_the_start_in_one_line(
    host: ServiceContext, settings: dict[str, str], wanted: str
) -> None:
    with pytest.raises(ConfigurationError, match=wanted) as refused:
        await build(replace(host, settings=settings))
    assert "\n" not in str(refused.value)
    assert "hunter2" not in str(refused.value)
