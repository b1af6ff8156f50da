"""The command `souk order`: places one order and prints its steps, for people or as JSON."""

import json
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape
from souk_client import ApiError, Client, NoAnswer

from marketplace.app.walk import OrderNotPlaced, Purchase, Walk, WalkStep
from souk.sdk import ConfigurationError

DEMO_EMAIL = "demo@souk.test"
DEMO_PASSWORD = "demo-password"  # public: docs/try.md


@click.command(
    epilog="\b\nExamples:\n  souk order\n  souk order --url http://127.0.0.1:9000 --product P-102 --quantity 1\n"
    "  souk order --json | jq '.steps[].milliseconds'"
)
@click.option("--url", default="http://127.0.0.1:8080", show_default=True, help="The URL of the running system.")
@click.option("--data", type=click.Path(path_type=Path), help="Its data directory, to show which files were written.")
@click.option("--email", default=DEMO_EMAIL, show_default=True, help="The customer's email.")
@click.option("--password", default=DEMO_PASSWORD, help="The customer's password; without it, the demo user's.")
@click.option("--product", default="P-101", show_default=True, help="The product to order.")
@click.option("--quantity", type=click.IntRange(1, 1_000), default=2, show_default=True, help="The quantity.")
@click.option("--address", default="ADDR-55", show_default=True, help="The id of the delivery address.")
@click.option("--pay", "payment_method", default="card", show_default=True, help="card, wallet, or a saved card's id.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def order(
    url: str, data: Path | None, email: str, password: str, product: str, quantity: int, address: str,
    payment_method: str, as_json: bool,
) -> None:  # fmt: skip
    """Places one order on a running system and shows each step with its time."""
    try:
        client = Client(url)
    except ValueError as error:
        raise ConfigurationError(str(error)) from None
    walk = Walk(client, Purchase(email, password, product, quantity, address, payment_method), data)
    try:
        if as_json:
            click.echo(json.dumps({"url": client.url, "steps": [asdict(step) for step in walk.steps()]}))
        else:
            _print(client.url, walk)
    except (ApiError, OrderNotPlaced) as error:
        raise click.ClickException(str(error)) from None
    except NoAnswer as error:
        raise ConfigurationError(
            f"no system responds at {client.url} ({error}); start one with `souk up --demo`, or give its --url"
        ) from None
    finally:
        client.close()


def _print(url: str, walk: Walk) -> None:
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"One order through [bold]{escape(url)}[/]")
    total = 0.0
    steps = walk.steps()
    for number in range(1, 100):
        with console.status("waiting for the next step"):
            step = next(steps, None)
        if step is None:
            break
        total += step.milliseconds
        _print_step(console, number, step)
    console.print(f"Done: {total:.0f} ms in all, as the client saw it.")


def _print_step(console: Console, number: int, step: WalkStep) -> None:
    took = f"{step.milliseconds:7.1f} ms" if step.milliseconds else " " * 10
    console.print(f"{number:2}  [cyan]{step.service:<13}[/]{took}  {escape(step.said)}")
    for line in step.details:
        console.print(f"{'':31}[dim]{escape(line)}[/]")
    for line in step.wrote:
        console.print(f"{'':31}[green]wrote[/] {escape(line)}")
