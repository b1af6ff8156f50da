"""Reads the folder of mails as a mail program would."""

from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

from souk.testing.system import until

PATIENCE = 120.0


class Mailbox:
    """A folder of mails, which are never changed: each is read once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[Path, tuple[str, EmailMessage]] = {}

    def names(self) -> set[str]:
        """Gives the ids of the mails."""
        return {path.stem for path in self._folder.glob("*.eml")}

    def about(self, order_id: str, words: str = "") -> list[EmailMessage]:
        """Gives the mails whose subject names an order and contains these words."""
        found = sorted(self._folder.glob("*.eml"))
        self._read.update({path: _read(path) for path in found if path not in self._read})
        letters = [self._read[path] for path in found]
        return [letter for subject, letter in letters if order_id in subject and words in subject]

    def await_letter(self, order_id: str, words: str) -> EmailMessage:
        """Waits for the mail about an order, and gives it."""
        until(lambda: self.about(order_id, words), PATIENCE, f"a letter about {order_id}: {words}")
        (letter,) = self.about(order_id, words)
        return letter


def text_of(letter: EmailMessage) -> str:
    """Gives the plain text of a mail."""
    body = letter.get_body(("plain",))
    assert body is not None
    return str(body.get_content())


def _read(path: Path) -> tuple[str, EmailMessage]:
    letter = message_from_bytes(path.read_bytes(), policy=policy.default)
    return str(letter["subject"]), letter
