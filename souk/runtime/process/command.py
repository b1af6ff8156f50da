"""What is started as a process."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from pwd import struct_passwd


@dataclass(frozen=True, slots=True)
class Command:
    """What is started: words, variables, and where. `user` is who it runs as, if not as this process does."""

    words: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    folder: Path = Path("/")
    user: struct_passwd | None = None
    descriptors: tuple[int, ...] = ()
