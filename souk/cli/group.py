"""The `souk` group: commands of the platform beside those that installed packages bring."""

import os
import signal
import sys
from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Any, cast

import click

from souk.kernel.suggest import meant
from souk.runtime.config import entry_points

NOBODY_READS = 128 + signal.SIGPIPE
"""What a shell says of a program that SIGPIPE has ended."""


class CommandGroup(click.Group):
    """Imports a command when it is asked for, and names the nearest to an unknown one.

    `own` says in which module each command of the platform is; others are found by entry point.
    """

    def __init__(self, *arguments: Any, own: Mapping[str, str], **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._own = own

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Own commands and installed ones, sorted."""
        return sorted({*self._own, *entry_points.named(entry_points.COMMANDS)})

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """An own command, or an installed one, which is imported only now."""
        if name in self._own:
            return cast(click.Command, getattr(import_module(self._own[name]), name))
        point = entry_points.named(entry_points.COMMANDS).get(name)
        if point is None:
            return None
        found = entry_points.load(point)
        return found if isinstance(found, click.Command) else None

    def invoke(self, ctx: click.Context) -> Any:
        """As click does; a command that does one thing ends quietly when nobody reads what it says any more."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # The interpreter must not fail again when it flushes.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(NOBODY_READS)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, but an unknown command is answered with the nearest."""
        name = args[0]
        if not name.startswith("-") and self.get_command(ctx, name) is None:
            raise click.UsageError(f"There is no command {name!r}{meant(name, self.list_commands(ctx))}.", ctx)
        return super().resolve_command(ctx, args)


def example(text: str) -> str:
    """Examples, line by line, for below a command's help."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in text.strip().splitlines())


def listed(title: str, words: Iterable[str]) -> str:
    """A paragraph of words, for below a command's help."""
    return f"\n\n{title}: {', '.join(words)}"
