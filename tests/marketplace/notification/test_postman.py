"""Letters in a folder: many at once, and each by itself."""

import asyncio
from pathlib import Path

import pytest

from marketplace.notification.adapters.eml_postman import EmlPostman
from marketplace.notification.domain import Contact, Letter, Rendered


def letter(number: int) -> Letter:
    return Letter(
        f"EVT-{number}", Contact("mina@example.com", "Mina"), Rendered("Hello", f"text {number}", "<p>x</p>"), 0
    )


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def test_many_at_once(tmp_path: Path) -> None:
    postman, mailbox = EmlPostman(tmp_path / "mailbox"), tmp_path / "mailbox"
    await asyncio.gather(*(postman.take(letter(number)) for number in range(40)))
    assert names(mailbox) == sorted(f"EVT-{number}.eml" for number in range(40))
    assert all(f"text {number}" in (mailbox / f"EVT-{number}.eml").read_text() for number in range(40))


async def test_one_that_cannot_be_written_holds_up_no_other(tmp_path: Path) -> None:
    (tmp_path / "EVT-1.eml" / "in the way").mkdir(parents=True)
    postman = EmlPostman(tmp_path)
    ends = await asyncio.gather(*(postman.take(letter(number)) for number in range(3)), return_exceptions=True)
    assert [type(end) for end in ends] == [type(None), IsADirectoryError, type(None)]
    assert names(tmp_path) == ["EVT-0.eml", "EVT-1.eml", "EVT-2.eml"]
    await postman.take(letter(4))
    assert (tmp_path / "EVT-4.eml").exists()


async def test_a_folder_that_cannot_be_there_is_told_to_everybody(tmp_path: Path) -> None:
    (tmp_path / "mailbox").write_text("a file")
    postman = EmlPostman(tmp_path / "mailbox")
    ends = await asyncio.gather(*(postman.take(letter(number)) for number in range(3)), return_exceptions=True)
    assert all(isinstance(end, OSError) for end in ends)


async def test_one_that_nobody_waits_for_any_more_is_written_like_the_others(tmp_path: Path) -> None:
    postman = EmlPostman(tmp_path)
    first, second = (asyncio.ensure_future(postman.take(letter(number))) for number in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await second
    assert names(tmp_path) == ["EVT-0.eml", "EVT-1.eml"]
    with pytest.raises(asyncio.CancelledError):
        await first
