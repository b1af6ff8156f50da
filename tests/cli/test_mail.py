"""`souk mail`: what is in the mailbox folder, for people and as JSON."""

import asyncio
import json
import os
from pathlib import Path

import pytest

from marketplace.notification.adapters.eml_postman import EmlPostman
from marketplace.notification.domain import Contact, Letter, Rendered
from souk.testing.processes import run

WRITTEN = 1_800_000_000_000_000


@pytest.fixture
def data(tmp_path: Path) -> Path:
    mailbox = tmp_path / "notification" / "mailbox"
    postman = EmlPostman(mailbox)
    for number, (to, name) in enumerate((("mina@example.com", "Mina"), ("omar@example.com", "عمر"))):
        message = Rendered(f"Order ORD-{number} ✓", f"Hello {name},\n\n\x1b[31mred\n", f"<p>{name}</p>\n")
        asyncio.run(postman.take(Letter(f"EVT-{number}", Contact(to, name), message, WRITTEN + number * 1_000_000)))
        os.utime(mailbox / f"EVT-{number}.eml", (number, number))
    (mailbox / ".EVT-9.eml.0a1b").write_text("half a mail")
    return tmp_path


async def mail(data: Path, *words: str, **settings: str) -> tuple[int, str, str]:
    ended = await run("mail", "--data", str(data), *words, settings=settings)
    return ended.status, ended.out, ended.err


async def test_the_newest_comes_first(data: Path) -> None:
    status, out, _ = await mail(data)
    assert status == 0
    assert out.splitlines() == [
        "EVT-1  2027-01-15T08:00:01Z  omar@example.com  Order ORD-1 ✓",
        "EVT-0  2027-01-15T08:00:00Z  mina@example.com  Order ORD-0 ✓",
    ]
    assert (await mail(data, "--limit", "1"))[1].count("\n") == 1
    assert (await mail(data, "--to", "MINA@example.com"))[1].startswith("EVT-0")
    assert "no mail to nobody" in (await mail(data, "--to", "nobody"))[1]


async def test_one_is_shown_without_what_would_control_the_terminal(data: Path) -> None:
    status, out, _ = await mail(data, "EVT-1")
    assert status == 0
    assert out == (
        "To:      omar@example.com\nDate:    2027-01-15T08:00:01Z\nSubject: Order ORD-1 ✓\n\nHello عمر,\n\n[31mred\n"
    )
    assert (await mail(data, "EVT-1.eml", "--html"))[1] == "<p>عمر</p>\n"


async def test_as_json_it_is_one_document(data: Path) -> None:
    listed = json.loads((await mail(data, "--json"))[1])
    assert [one["id"] for one in listed] == ["EVT-1", "EVT-0"]
    one = json.loads((await mail(data, "EVT-0", "--json"))[1])
    assert one == listed[1]
    assert (one["to"], one["subject"], one["html"]) == ("mina@example.com", "Order ORD-0 ✓", "<p>Mina</p>\n")


async def test_what_is_not_there_is_said_in_one_line(data: Path, tmp_path: Path) -> None:
    status, _, err = await mail(data, "EVT-7")
    assert (status, err.count("\n")) == (1, 1)
    assert "there is no mail 'EVT-7'" in err
    assert (await mail(data, "--html"))[0] == 2
    status, _, err = await mail(tmp_path / "nowhere")
    assert (status, err.count("\n")) == (1, 1)
    assert "there is no data directory" in err
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "there is no mail" in (await mail(empty))[1]
    assert (await mail(empty, "--json"))[1] == "[]\n"


async def test_mails_that_go_to_a_server_are_not_looked_for_here(tmp_path: Path) -> None:
    status, _, err = await mail(tmp_path, SOUK_NOTIFICATION_SMTP="smtp://127.0.0.1:25")
    assert (status, err.count("\n")) == (1, 1)
    assert "SOUK_NOTIFICATION_SMTP" in err
