"""The starts of the system that something is kept of."""

import sqlite3
from collections.abc import Sequence


def list_runs(connection: sqlite3.Connection) -> Sequence[dict[str, object]]:
    """Returns every run, the newest first: its name, when it began, when it was seen last, and its traces."""
    rows = connection.execute(
        "SELECT r.name, r.began, r.seen, count(t.trace_id), coalesce(sum(t.errors > 0), 0) FROM runs AS r"
        " LEFT JOIN traces AS t ON t.run = r.id GROUP BY r.id ORDER BY r.began DESC, r.id DESC LIMIT 200"
    )
    return [dict(zip(("name", "began", "last_seen", "traces", "failed"), row, strict=True)) for row in rows]


def count_lost(connection: sqlite3.Connection) -> int:
    """Returns how many spans were pushed out of a process before they were read."""
    return int(connection.execute("SELECT coalesce(sum(lost), 0) FROM rings").fetchone()[0])
