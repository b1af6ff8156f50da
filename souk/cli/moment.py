"""Options that name a time."""

from datetime import datetime
from typing import Any

import click

from souk.admin.parked_filter import seconds_of
from souk.kernel.clock import MICROSECONDS, SystemClock, from_datetime


class Moment(click.ParamType[int]):
    """The type of an option that names a time: 10m ago, or a date; microseconds since 1970."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Parses the text of an option, as click calls it. A date without a zone is of this machine's zone."""
        if isinstance(value, int):
            return value
        seconds = seconds_of(str(value))
        if seconds is not None:
            return SystemClock().now() - round(seconds * MICROSECONDS)
        try:
            return from_datetime(datetime.fromisoformat(str(value)).astimezone())
        except (ValueError, OverflowError):
            self.fail(f"{value!r} must read like 10m (ago), 2h, 7d, or 2026-03-01T12:30", param, ctx)
