"""The command `souk mail` (entry point group `souk.commands`): the mails of a system without a mail server."""

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import click

from marketplace.notification.service import MAILBOX, service
from souk.sdk import ConfigurationError, ServiceFolder, service_folder

_EPILOG = """\b
Examples:
  souk mail                              one line each, the newest first
  souk mail EVT-01JD2T8Q3M               the text of one
  souk mail EVT-01JD2T8Q3M --html > mail.html
  souk mail --to demo@souk.test --json | jq '.[].subject'
"""


@dataclass(frozen=True, slots=True)
class MailView:
    """A mail, as it is shown."""

    id: str
    time: str
    to: str
    subject: str
    text: str
    html: str


@click.command(epilog=_EPILOG)
@click.argument("mail_id", metavar="[ID]", required=False)
@click.option("--data", type=click.Path(path_type=Path), help="The data directory of the system [default: var/souk]")
@click.option("--to", "reader", help="Only mails to this address.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="How many to list at most.")
@click.option("--html", "as_html", is_flag=True, help="The HTML of the mail with this ID.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def mail(
    mail_id: str | None, data: Path | None, reader: str | None, limit: int, as_html: bool, as_json: bool
) -> None:  # fmt: skip
    """Lists the mails that were written, or shows the one with this ID.

    Without a mail server every mail is a file in the mailbox folder, which this command reads; the system may run
    meanwhile. With SOUK_NOTIFICATION_SMTP mails go to that server instead.
    """
    if as_html and not mail_id:
        raise click.UsageError("--html shows one mail: name its ID, as `souk mail` lists it.")
    folder = service_folder(service, data)
    paths = _newest_first(folder.path / MAILBOX)
    if not paths:
        _explain_none(folder, as_json)
    elif mail_id:
        _show(_find(paths, mail_id), as_html, as_json)
    else:
        _list(paths, reader, limit, as_json)


def _newest_first(mailbox: Path) -> list[Path]:
    return sorted(mailbox.glob("*.eml"), key=lambda path: (path.stat().st_mtime_ns, path.name), reverse=True)


def _explain_none(folder: ServiceFolder, as_json: bool) -> None:
    """Says why there is no mail; raises ConfigurationError when mails go elsewhere."""
    if folder.settings.get("smtp"):
        raise ConfigurationError(
            "mails go to the mail server of SOUK_NOTIFICATION_SMTP, and not into the mailbox folder: look there, or "
            "start the system without that setting"
        )
    if as_json:
        click.echo("[]")
        return
    click.echo(f"there is no mail in {folder.path / MAILBOX}; `souk order` places an order, which gives one")


def _find(paths: list[Path], mail_id: str) -> MailView:
    for path in paths:
        if path.stem == mail_id.removesuffix(".eml"):
            return _read(path)
    raise click.ClickException(f"there is no mail {mail_id!r}; `souk mail` lists those that there are")


def _list(paths: list[Path], reader: str | None, limit: int, as_json: bool) -> None:
    found: list[MailView] = []
    for path in paths:
        view = _read(path)
        if reader is None or view.to.lower() == reader.lower():
            found.append(view)
        if len(found) == limit:
            break
    if as_json:
        click.echo(json.dumps([asdict(view) for view in found], indent=2, ensure_ascii=False))
        return
    width = max((len(view.to) for view in found), default=0)
    for view in found:
        click.echo(f"{view.id}  {view.time}  {view.to:<{width}}  {view.subject}")
    if not found:
        click.echo(f"there is no mail to {reader}")


def _show(view: MailView, as_html: bool, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(asdict(view), indent=2, ensure_ascii=False))
    elif as_html:
        click.echo(view.html, nl=False)
    else:
        click.echo(f"To:      {view.to}\nDate:    {view.time}\nSubject: {view.subject}\n\n{view.text}", nl=False)


def _read(path: Path) -> MailView:
    message = message_from_bytes(path.read_bytes(), policy=policy.default)
    date = message["Date"].datetime if message["Date"] else datetime.fromtimestamp(path.stat().st_mtime, UTC)
    to = message["To"].addresses[0].addr_spec if message["To"] and message["To"].addresses else ""
    return MailView(
        id=path.stem,
        time=f"{date.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
        to=_harmless(to),
        subject=_harmless(str(message["Subject"] or "")),
        text=_harmless(_part(message, "plain")),
        html=_part(message, "html"),
    )


def _part(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    return "" if part is None else "\n".join((*str(part.get_content()).splitlines(), ""))


def _harmless(text: str) -> str:
    """Leaves out what would control the terminal; direction marks of Arabic stay."""
    return "".join(one for one in text if one == "\n" or one.isprintable() or one in "\u200e\u200f\u202f\u00a0\u061c")
