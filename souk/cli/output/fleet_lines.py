"""Shows a fleet's states and logs line by line: in a pipe, and above the table of a terminal."""

from typing import TextIO

import orjson

from souk.admin.process_status import BACKING_OFF, DRAINING, FAILED, READY, STOPPED, ProcessView
from souk.cli.output.terminal import print_line

WIDTH = 14
_COLOURS = (36, 33, 32, 35, 34, 96, 93, 92, 95, 94)
_QUIET = frozenset({"event", "level", "timestamp", "part", "trace_id", "request_id", "exception"})


def prefix(instance: str, coloured: bool = False) -> str:
    """Gives the prefix of a process's lines: `order-2 | `."""
    text = f"{instance:<{WIDTH}} | "
    return f"\x1b[{_COLOURS[sum(map(ord, instance)) % len(_COLOURS)]}m{text}\x1b[0m" if coloured else text


def in_short(line: bytes) -> str:
    """Gives a log line for people, as one line: the time, level, event, values and exception of a JSON record.

    Other text is left as it is. The traceback of an exception is only in the log.
    """
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:
        return line.decode(errors="replace")
    if not isinstance(record, dict) or "event" not in record:
        return line.decode(errors="replace")
    time = str(record.get("timestamp", ""))[11:19]
    shown = {name: value for name, value in record.items() if name not in _QUIET and value not in ("", None)}
    values = " ".join(f"{name}={value}" for name, value in shown.items())
    exception = _exception(str(record.get("exception") or ""))
    text = f"{time} {record.get('level', ''):<7} {record['event']} {values} {exception}"
    return " ".join(text.split("\n")).rstrip()


def _exception(traceback: str) -> str:
    """Gives the message of the last exception in a traceback: the line after the last indented one."""
    lines = traceback.splitlines()
    last = max((number for number, line in enumerate(lines) if line.startswith("  ")), default=-1)
    return lines[last + 1] if last + 1 < len(lines) else ""


def state_line(view: ProcessView) -> str | None:
    """Gives the line that tells of a new state, or None if none does."""
    name = view.instance
    lines = {
        READY: f"{name} is ready on {view.address} (pid {view.pid})",
        BACKING_OFF: f"{name} has died ({view.why}) and is started again; deaths so far: {view.restarts}",
        FAILED: f"{name} cannot be started ({view.why}); tries so far: {view.restarts}",
        DRAINING: f"{name} is draining",
        STOPPED: f"{name} has stopped",
    }
    return lines.get(view.state)


class LinesScreen:
    """Prints states on standard output, and log lines with a prefix to `log`: standard error, or a file."""

    def __init__(self, log: TextIO) -> None:
        self._log, self._coloured = log, log.isatty()
        self._shown: dict[str, str] = {}

    def state(self, view: ProcessView) -> None:
        """Prints a line for a new state, unless it is the last that was printed for the process."""
        line = state_line(view)
        if line is not None and line != self._shown.get(view.instance):
            self._shown[view.instance] = line
            print_line(line)

    def output(self, instance: str, lines: list[bytes]) -> None:
        """Writes each line after its prefix."""
        before = prefix(instance, self._coloured)
        self._log.write("".join(f"{before}{line.decode(errors='replace')}\n" for line in lines))
        self._log.flush()

    def note(self, line: str) -> None:
        """Prints a message."""
        print_line(line)
