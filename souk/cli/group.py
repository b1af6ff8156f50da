"""The `souk` group: the commands of the platform, and those of installed packages."""

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
"""The exit status that a shell reports for a program that SIGPIPE has ended."""


class CommandGroup(click.Group):
    """Imports a command only when it is used, and suggests the nearest name for an unknown one.

    `own` maps each command of the platform to its module; other commands are found by entry point.
    """

    def __init__(self, *arguments: Any, own: Mapping[str, str], **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._own = own

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Gives the names of the platform's and of installed commands, sorted."""
        return sorted({*self._own, *entry_points.named(entry_points.COMMANDS)})

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Imports a command of the platform, or an installed one; None if there is none of this name."""
        if name in self._own:
            return cast(click.Command, getattr(import_module(self._own[name]), name))
        point = entry_points.named(entry_points.COMMANDS).get(name)
        if point is None:
            return None
        found = entry_points.load(point)
        return found if isinstance(found, click.Command) else None

    def invoke(self, ctx: click.Context) -> Any:
        """Invokes a command as click does, but ends quietly, with NOBODY_READS, when the output's reader has gone."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # So that the interpreter does not fail again when it flushes.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(NOBODY_READS)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Resolves a command as click does, but suggests the nearest name for an unknown one."""
        name = args[0]
        if not name.startswith("-") and self.get_command(ctx, name) is None:
            raise click.UsageError(f"There is no command {name!r}{meant(name, self.list_commands(ctx))}.", ctx)
        return super().resolve_command(ctx, args)


def example(text: str) -> str:
    """Gives the text of examples, one in a line, for the end of a command's help."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in text.strip().splitlines())


def listed(title: str, words: Iterable[str]) -> str:
    """Gives a paragraph that lists words, for the end of a command's help."""
    return f"\n\n{title}: {', '.join(words)}"
