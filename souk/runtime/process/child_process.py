"""One operating-system process: its start, its output, its end.

It stays in the supervisor's process group, so that killing the group ends it. No thread waits for it:
the end of a process is an event on its descriptor (pidfd_open(2)).
"""

import asyncio
import os
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress

from souk.runtime.process.command import Command
from souk.runtime.process.launcher import interrupts_held, require_program, tied

_CHUNK = 65536
_LONGEST_LINE = 1 << 16
"""Bytes of a line that are kept; what is more is counted in its end."""

OnOutput = Callable[[list[bytes]], None]
"""Takes whole lines, without their line ends."""


def shortened(line: bytes, left_out: int = 0) -> bytes:
    """Cuts a line that is too long, of which `left_out` bytes are missing already; a line that is cut says so."""
    left_out += max(len(line) - _LONGEST_LINE, 0)
    return line if not left_out else b"%b... [cut: %d bytes]" % (line[:_LONGEST_LINE], left_out)


class ChildProcess:
    """A process that was started. `on_output` gets what it writes to standard output and standard error."""

    def __init__(self, process: "subprocess.Popen[bytes]", on_output: OnOutput) -> None:
        assert process.stdout is not None
        self.pid = process.pid
        self._process, self._output, self._on_output = process, process.stdout, on_output
        self._rest = b""
        self._left_out = 0
        """Bytes of the line that is being read which were too many."""
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[int] = self._loop.create_future()
        self._pidfd = os.pidfd_open(process.pid)
        os.set_blocking(self._output.fileno(), False)
        self._loop.add_reader(self._output.fileno(), self._read)
        self._loop.add_reader(self._pidfd, self._end)

    @classmethod
    def start(
        cls, command: Command, on_output: OnOutput, stop_signal: int = signal.SIGTERM, *, own_group: bool = False
    ) -> "ChildProcess":
        """Starts a process, which gets `stop_signal` when this one ends. Raises OSError when that fails.

        In a group of its own, it gets no signals of a terminal.
        """
        require_program(command.words[0], command.environment)
        # No argument here may make `subprocess` fork instead of vfork: gRPC does not survive a fork.
        with interrupts_held():
            process = subprocess.Popen(
                (*tied(command.user, stop_signal, command.network, command.files), *command.words),
                env=dict(command.environment),
                cwd=command.folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                process_group=0 if own_group else None,
                pass_fds=command.descriptors if command.network is None else (*command.descriptors, command.network),
            )
        return cls(process, on_output)

    @property
    def runs(self) -> bool:
        """Whether it has not ended."""
        return not self._ended.done()

    def send(self, number: int) -> None:
        """Sends a signal, if it runs."""
        if self.runs:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)

    def when_ended(self, callback: Callable[[], None]) -> None:
        """Calls `callback` once it has ended, whether or not `ended` is awaited."""
        self._ended.add_done_callback(lambda _: callback())

    async def ended(self) -> int:
        """Waits for its end; returns its exit status, or the negative number of the signal that ended it."""
        return await asyncio.shield(self._ended)

    def _read(self) -> None:
        try:
            chunk = os.read(self._output.fileno(), _CHUNK)
        except BlockingIOError:
            return
        if not chunk:
            self._loop.remove_reader(self._output.fileno())
            return
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        if lines:
            self._on_output([shortened(lines[0], self._left_out), *map(shortened, lines[1:])])
            self._left_out = 0
        if len(self._rest) > _LONGEST_LINE:
            self._left_out += len(self._rest) - _LONGEST_LINE
            self._rest = self._rest[:_LONGEST_LINE]

    def _end(self) -> None:
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._read_the_rest()
        self._ended.set_result(self._process.wait())

    def _read_the_rest(self) -> None:
        """Reads its last output. A child of its own may still hold the pipe, so there may be no end of file."""
        with suppress(BlockingIOError):
            while chunk := os.read(self._output.fileno(), _CHUNK):
                self._rest += chunk
        self._loop.remove_reader(self._output.fileno())
        self._output.close()
        if self._rest:
            first, *others = self._rest.rstrip(b"\n").split(b"\n")
            self._on_output([shortened(first, self._left_out), *map(shortened, others)])
