"""Positions in lists that are ordered by the time at which rows were made."""

from dataclasses import dataclass
from typing import Self

from souk.sdk import PageAsked


@dataclass(frozen=True, slots=True)
class Cursor:
    """The position at which a page ended: the time, in microseconds since 1970, and the id of its last row."""

    created_at: int
    row_id: str

    @classmethod
    def of(cls, page: PageAsked) -> Self | None:
        """Returns the position that a page starts after; None for the first page."""
        if page.after is None:
            return None
        created_at, row_id = page.after
        return cls(int(created_at), str(row_id))
