"""What leaves the console's file when its time is over, or when the file is full.

Room is shared fairly (max-min): while there is too little of it, the oldest traces go of the service that takes most.
So a service that has many traces pushes out its own, and never those of a service that has few.
"""

import sqlite3
from dataclasses import dataclass

from souk.kernel.clock import MICROSECONDS

_HOUR, _MINUTE = 3_600 * MICROSECONDS, 60 * MICROSECONDS
TRACES_SHARE = 0.7
"""The part of the room that traces may take; the rest is for figures."""
BYTES_A_POINT = 130
"""About what a figure takes in the file, with its part of the index."""
AT_ONCE = 200
"""Traces that one step removes, so that a transaction stays short."""
_FINE = _HOUR
"""How long every figure is kept; of older ones, the last of each minute."""


@dataclass(frozen=True, slots=True)
class FileRoom:
    """What may be kept: `bytes` in all, for `hours`."""

    bytes: int
    hours: int


def evict(tx: sqlite3.Connection, room: FileRoom, now: int) -> int:
    """Removes what is too old or too much, in one short step; returns how many traces went."""
    oldest = now - room.hours * _HOUR
    gone = _remove(tx, tx.execute("SELECT trace_id FROM traces WHERE began < ? LIMIT ?", (oldest, AT_ONCE)).fetchall())
    gone += _evict_traces(tx, int(room.bytes * TRACES_SHARE))
    tx.execute(
        "DELETE FROM points WHERE (series, at) IN (SELECT series, at FROM points WHERE at < ? LIMIT ?)",
        (oldest, 20 * AT_ONCE),
    )
    _evict_points(tx, int(room.bytes * (1 - TRACES_SHARE)) // BYTES_A_POINT)
    return gone


def thin(tx: sqlite3.Connection, since: int, now: int) -> int:
    """Keeps the last figure of each minute of those that are no longer fine, from `since` on.

    Returns the time up to which that is done.
    """
    until = (now - _FINE) // _MINUTE * _MINUTE
    tx.execute(
        "DELETE FROM points WHERE at >= ? AND at < ? AND EXISTS (SELECT 1 FROM points AS later"
        " WHERE later.series = points.series AND later.at > points.at AND later.at / ? = points.at / ?)",
        (since, until, _MINUTE, _MINUTE),
    )
    return until


def forget_empty(tx: sqlite3.Connection, now: int, hours: int) -> None:
    """Removes processes, series, rings and runs of which nothing is left."""
    oldest = now - hours * _HOUR
    gone = "SELECT id FROM processes WHERE seen < ?"
    tx.execute(f"DELETE FROM points WHERE series IN (SELECT id FROM series WHERE process IN ({gone}))", (oldest,))
    tx.execute(f"DELETE FROM series WHERE process IN ({gone})", (oldest,))
    tx.execute("DELETE FROM processes WHERE seen < ?", (oldest,))
    tx.execute("DELETE FROM rings WHERE seen < ?", (oldest,))
    tx.execute(
        "DELETE FROM runs WHERE seen < ? AND id NOT IN (SELECT run FROM traces UNION SELECT run FROM processes)",
        (oldest,),
    )


def _evict_traces(tx: sqlite3.Connection, most: int) -> int:
    sizes = {row[0]: row[1] for row in tx.execute("SELECT owner, sum(bytes) FROM traces GROUP BY owner")}
    over, gone = sum(sizes.values()) - most, 0
    while over > 0 and gone < AT_ONCE:
        largest = max(sizes, key=lambda owner: (sizes[owner], owner))
        # Down to the next largest, and no further than is needed: then both give alike.
        next_ = max((size for owner, size in sizes.items() if owner != largest), default=0)
        wanted = min(over, max(sizes[largest] - next_, 1))
        rows, freed = [], 0
        for id_, size in tx.execute(
            "SELECT trace_id, bytes FROM traces WHERE owner = ? ORDER BY began LIMIT ?", (largest, AT_ONCE)
        ):
            rows.append((id_,))
            freed += size
            if freed >= wanted:
                break
        gone += _remove(tx, rows)
        sizes[largest] -= freed
        over -= freed
    return gone


def _remove(tx: sqlite3.Connection, ids: list[tuple[str]]) -> int:
    tx.executemany("DELETE FROM spans WHERE trace_id = ?", ids)
    tx.executemany("DELETE FROM traces WHERE trace_id = ?", ids)
    return len(ids)


def _evict_points(tx: sqlite3.Connection, most: int) -> None:
    (count,) = tx.execute("SELECT count(*) FROM points").fetchone()
    if count > most:
        tx.execute(
            "DELETE FROM points WHERE (series, at) IN (SELECT series, at FROM points ORDER BY at LIMIT ?)",
            (min(count - most, 20 * AT_ONCE),),
        )
