"""Which PostgreSQL made a data directory."""

import re
from pathlib import Path

_VERSION = re.compile(r"(\d+)(?:\.\d+)*\s*")


def data_version(data: Path) -> int | None:
    """The major version that made a data directory; None if there is none."""
    try:
        return major_version((data / "PG_VERSION").read_text())
    except OSError:
        return None


def major_version(text: str) -> int:
    """The first number of a version such as 17.2; 0 where there is none."""
    found = _VERSION.match(text.strip())
    return int(found[1]) if found else 0
