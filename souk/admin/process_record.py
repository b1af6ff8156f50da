"""The record of the processes that a supervisor started, by which the next one finds those that were left behind.

A process is taken for one of them only when its pid, its start time and its command line agree.
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
    """A process that was started under a name, and the signal that asks it to end.

    `kind` is service, gateway, companion (an emulator) or engine.
    """

    name: str
    kind: str
    signal: int
    process: ProcessIdentity


def encode(boot: str, started: list[Started]) -> str:
    """Gives the text of the record."""
    return json.dumps({"boot": boot, "started": [asdict(one) for one in started]}, indent=1)


def decode(text: str, boot: str) -> list[Started]:
    """Reads the processes in the record; none if it is damaged, or from another boot of the machine."""
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
    """Gives those that still run and are the same processes."""
    return [one for one in started if identify(one.process.pid) == one.process]


class ProcessesFile:
    """Writes the record at `path` at each change. It need not survive a crash of the machine, so it is not synced."""

    def __init__(self, path: Path, boot: str) -> None:
        self._path, self._boot = path, boot
        self._started: dict[int, Started] = {}

    def left_behind(self) -> list[Started]:
        """Gives the processes that an earlier supervisor started and that still run."""
        try:
            text = self._path.read_text()
        except OSError:
            return []
        return surviving(decode(text, self._boot))

    def add(self, name: str, kind: str, signal: int, pid: int, words: tuple[str, ...]) -> None:
        """Adds a process that was started by these words, and is asked to end by `signal`.

        Raises OSError when the record cannot be written: then the process is not in it.
        """
        process = identity(pid)
        if process is not None:
            # The words given: for a moment after its start a process has no command line yet.
            self._started[pid] = Started(name, kind, signal, replace(process, command=words))
            try:
                self._write()
            except OSError:
                del self._started[pid]
                raise

    def remove(self, pid: int) -> None:
        """Removes a process that has ended. If the record cannot be written it still names the process, which does no
        harm: `left_behind` finds that it has ended."""
        if self._started.pop(pid, None) is not None:
            with suppress(OSError):
                self._write()

    def _write(self) -> None:
        content = encode(self._boot, list(self._started.values())).encode()
        private_files.replace(self._path, content, aside=self._path.with_suffix(".new"), durable=False)
