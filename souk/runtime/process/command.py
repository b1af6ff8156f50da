"""The command that starts a process."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from pwd import struct_passwd


@dataclass(frozen=True, slots=True)
class Command:
    """The words of a command, its environment variables and its working directory.

    `user` is the user that it runs as; None means that of this process. `descriptors` are open files that it inherits.
    `network` is the descriptor of the network namespace that it runs in; None means that of this process. `files` are
    texts that it finds in place of the system's files, by their paths.
    """

    words: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    folder: Path = Path("/")
    user: struct_passwd | None = None
    descriptors: tuple[int, ...] = ()
    network: int | None = None
    files: Mapping[str, str] = field(default_factory=dict)
