"""Hides passwords that are given on the command line, where every user of the machine can read them while it runs.

A command that finds one removes it: it executes itself again (exec), with the value in its environment, which only
its own user can read, and prints what to do instead.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from urllib.parse import parse_qs, urlsplit

import click

from souk.runtime.config.environment import inherited
from souk.runtime.config.variables import PREFIX


def conceal(flags: Mapping[str, str | None]) -> None:
    """Removes the passwords in these flags, by name without dashes, from the command line.

    Returns if there are none; otherwise this process executes itself again.
    """
    secret = {name: value for name, value in flags.items() if value is not None and _has_password(value)}
    kept = without(sys.orig_argv[1:], secret)
    if len(kept) == len(sys.orig_argv) - 1:
        return
    for name in secret:
        variable = f"{PREFIX}{name.upper()}"
        click.echo(
            f"souk: a password in --{name} can be read by every user of this machine, so it was removed from the "
            f"command line; put the URL into {variable}, or into a file and use --{name} @FILE",
            err=True,
        )
    variables = {f"{PREFIX}{name.upper()}": value for name, value in secret.items()}
    os.execve(sys.executable, (sys.executable, *kept), {**inherited(), **variables})


def without(words: Sequence[str], flags: Mapping[str, str]) -> list[str]:
    """Gives the words of a command line without these flags, in the form `--name value` or `--name=value`."""
    kept: list[str] = []
    for word in words:
        name = kept[-1].removeprefix("--") if kept else ""
        if name in flags and word == flags[name] and kept[-1].startswith("--"):
            kept.pop()
        elif not any(word == f"--{one}={value}" for one, value in flags.items()):
            kept.append(word)
    return kept


def _has_password(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.password) or "password" in parse_qs(parts.query)
    except ValueError:
        return False  # the parser of the setting says what is wrong
