"""Runs commands of `souk` in processes that are forked from one that has imported everything.

Such a command starts in hundredths of a second instead of a second. It is a process all the same, with its own
arguments, variables, directory, standard streams and exit status. What it does not show is how an interpreter starts:
of the variables for one, only PYTHONPATH has an effect, on what is not imported yet.

Run as a module it is the server: it takes requests from the socket that is its standard input until that is closed.
"""

import atexit
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import IO

import click

from souk.cli.main import main
from souk.cli.root import cli
from souk.runtime.config import entry_points

_LONGEST = 1 << 17
"""Bytes of a request."""


class ForkServer:
    """The server, as a child of this process that ends with it."""

    def __init__(self) -> None:
        self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = (sys.executable, "-m", __name__)
        with theirs:
            self._process = subprocess.Popen(
                command, stdin=theirs.fileno(), stdout=subprocess.DEVNULL, start_new_session=True
            )
        atexit.register(self.close)

    def start(
        self, arguments: Sequence[str], variables: Mapping[str, str], streams: Sequence[IO[bytes]]
    ) -> "ForkedProcess":
        """Starts a command with these files as its standard input, output and errors."""
        answers, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        request = json.dumps([list(arguments), dict(variables), os.getcwd()]).encode()
        with theirs:
            socket.send_fds(self._requests, [request], [theirs.fileno(), *(one.fileno() for one in streams)])
        return ForkedProcess(answers)

    def run(
        self, arguments: Sequence[str], variables: Mapping[str, str], given: bytes, limit: float
    ) -> tuple[int, str, str]:
        """Runs a command to its end, with `given` on its standard input; returns its exit status, its output and
        its errors. After `limit` seconds kills it, and raises subprocess.TimeoutExpired."""
        with ExitStack() as stack:
            streams = [stack.enter_context(tempfile.TemporaryFile()) for _ in range(3)]
            streams[0].write(given)
            streams[0].seek(0)
            process = self.start(arguments, variables, streams)
            try:
                status = process.wait(limit)
            finally:
                process.kill()
                process.wait()
            return status, _text(streams[1]), _text(streams[2])

    def close(self) -> None:
        """Ends the server."""
        self._requests.close()
        self._process.wait()


class ForkedProcess:
    """A command that was started; it is used as a `subprocess.Popen` is."""

    def __init__(self, answers: socket.socket) -> None:
        self._answers = answers
        self.returncode: int | None = None
        self.pid = int(answers.recv(32))

    def fileno(self) -> int:
        """Returns the descriptor that can be read once it has ended, until its exit status is known."""
        return self._answers.fileno()

    def poll(self) -> int | None:
        """Returns its exit status, negative for a signal; None while it runs."""
        try:
            return self.wait(0.0)
        except subprocess.TimeoutExpired:
            return None

    def wait(self, timeout: float | None = None) -> int:
        """Waits for its end, and returns its exit status. Raises subprocess.TimeoutExpired."""
        if self.returncode is None:
            self._answers.settimeout(timeout)
            try:
                self.returncode = int(self._answers.recv(32))
            except (BlockingIOError, TimeoutError):
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0) from None
            self._answers.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Sends it a signal if it runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kills it if it runs."""
        self.send_signal(signal.SIGKILL)


@cache
def fork_server() -> ForkServer:
    """Gives the server of this process, which is started when it is first needed."""
    return ForkServer()


def may_be_forked(settings: Mapping[str, str]) -> bool:
    """Returns whether a command with these variables would be no different if an interpreter were started for it."""
    folders = [Path(folder) for folder in settings.get("PYTHONPATH", "").split(os.pathsep) if folder]
    names = {path.name.partition(".")[0] for folder in folders for path in folder.iterdir()}
    others = [name for name in settings if name.startswith("PYTHON") and name != "PYTHONPATH"]
    return not others and names.isdisjoint({*sys.modules, "sitecustomize", "usercustomize"})


def _text(stream: IO[bytes]) -> str:
    stream.seek(0)
    return stream.read().decode()


def _import_everything() -> None:
    context = click.Context(cli)
    for name in cli.list_commands(context):
        cli.get_command(context, name)
    entry_points.app()
    gc.collect()
    gc.freeze()


def _serve(requests: socket.socket) -> None:
    """Serves until there are no more requests. Returns in the process of each command as well, to run it."""
    _import_everything()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # so that processes which have ended are forgotten
    while True:
        request, descriptors, _, _ = socket.recv_fds(requests, _LONGEST, 4)
        if not request:
            sys.exit()
        if os.fork() == 0:
            requests.detach()
            _watch(descriptors[0])
            arguments, variables, folder = json.loads(request)
            return _become(arguments, variables, folder, descriptors)
        for descriptor in descriptors:
            os.close(descriptor)


def _watch(answer: int) -> None:
    """Returns in a new process; the one that called it tells that process's id, and its status when it has ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if pid := os.fork():
        os.write(answer, str(pid).encode())
        _, ended = os.waitpid(pid, 0)
        os.write(answer, str(os.waitstatus_to_exitcode(ended)).encode())
        os._exit(0)


def _become(arguments: Sequence[str], variables: Mapping[str, str], folder: str, descriptors: Sequence[int]) -> None:
    for number, descriptor in enumerate(descriptors[1:]):
        os.dup2(descriptor, number)
    for descriptor in descriptors:
        os.close(descriptor)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(variables)
    sys.path[1:1] = [path for path in variables.get("PYTHONPATH", "").split(os.pathsep) if path not in sys.path]
    sys.argv = ["souk", *arguments]
    signal.signal(signal.SIGINT, signal.default_int_handler)


if __name__ == "__main__":
    _serve(socket.socket(fileno=sys.stdin.fileno()))
    main()
