"""The record of what a supervisor started, by which the next one finds what was left behind.

A process is only taken for ours when its number, its start and its command line agree.
"""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from souk.kernel import private_files
from souk.telemetry.proc import ProcessIdentity, identity


@dataclass(frozen=True, slots=True)
class Started:
    """A process that was started under a name; `kind` is service, gateway, companion (an emulator) or engine."""

    name: str
    kind: str
    signal: int
    process: ProcessIdentity


def encode(boot: str, started: list[Started]) -> str:
    """The record's text."""
    return json.dumps({"boot": boot, "started": [asdict(one) for one in started]}, indent=1)


def decode(text: str, boot: str) -> list[Started]:
    """What the record says; nothing when it is damaged, or of another boot of the machine."""
    try:
        found = json.loads(text)
        if found["boot"] != boot:
            return []
        return [_started(entry) for entry in found["started"]]
    except (ValueError, KeyError, TypeError):
        return []


def _started(entry: dict[str, object]) -> Started:
    process = entry["process"]
    if not isinstance(process, dict):
        raise TypeError("a process is an object")
    known = ProcessIdentity(int(process["pid"]), int(process["started"]), tuple(map(str, process["command"])))
    return Started(str(entry["name"]), str(entry["kind"]), int(str(entry["signal"])), known)


def surviving(started: list[Started], identify: Callable[[int], ProcessIdentity | None] = identity) -> list[Started]:
    """Those that still run, and are the same."""
    return [one for one in started if identify(one.process.pid) == one.process]


class ProcessesFile:
    """Keeps the record at `path` as it changes. It need not outlive the machine, so it is not synced."""

    def __init__(self, path: Path, boot: str) -> None:
        self._path, self._boot = path, boot
        self._started: dict[int, Started] = {}

    def left_behind(self) -> list[Started]:
        """What an earlier supervisor started and nobody has ended."""
        try:
            text = self._path.read_text()
        except OSError:
            return []
        return surviving(decode(text, self._boot))

    def add(self, name: str, kind: str, signal: int, pid: int, words: tuple[str, ...]) -> None:
        """A process was started by these words, and is asked to end by `signal`.

        Raises OSError when that cannot be written down: then it is not recorded.
        """
        process = identity(pid)
        if process is not None:
            # For a moment after its start a process has no command line yet.
            self._started[pid] = Started(name, kind, signal, replace(process, command=words))
            try:
                self._write()
            except OSError:
                del self._started[pid]
                raise

    def remove(self, pid: int) -> None:
        """It has ended. Where that cannot be written down, the record names one more, who is known to be gone."""
        if self._started.pop(pid, None) is not None:
            with suppress(OSError):
                self._write()

    def _write(self) -> None:
        content = encode(self._boot, list(self._started.values())).encode()
        private_files.replace(self._path, content, aside=self._path.with_suffix(".new"), durable=False)
