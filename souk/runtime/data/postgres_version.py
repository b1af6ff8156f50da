"""The version of the PostgreSQL that made a data directory."""

import re
from pathlib import Path

_VERSION = re.compile(r"(\d+)(?:\.\d+)*\s*")


def data_version(data: Path) -> int | None:
    """Gives the major version of PostgreSQL that made a data directory; None if the directory holds no data."""
    try:
        return major_version((data / "PG_VERSION").read_text())
    except OSError:
        return None


def major_version(text: str) -> int:
    """Gives the first number of a version such as 17.2; 0 if the text has none."""
    found = _VERSION.match(text.strip())
    return int(found[1]) if found else 0
