"""Runs commands of `souk` in processes that are forked from one that has imported everything.

Such a command starts in hundredths of a second instead of a second. It is a process all the same, with its own
arguments, variables, directory, standard streams and exit status. What it does not show is how an interpreter starts:
PYTHON* variables have no effect on it.

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
            self._process = subprocess.Popen(command, stdin=theirs, stdout=subprocess.DEVNULL, start_new_session=True)
        atexit.register(self.close)

    def run(
        self, arguments: Sequence[str], variables: Mapping[str, str], given: bytes, limit: float
    ) -> tuple[int, str, str]:
        """Runs a command to its end, with `given` on its standard input; returns its exit status, which is negative
        for a signal, and its output and errors.

        Kills it after `limit` seconds, and raises TimeoutError.
        """
        with ExitStack() as stack:
            streams = [stack.enter_context(tempfile.TemporaryFile()) for _ in range(3)]
            streams[0].write(given)
            streams[0].seek(0)
            answers, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            stack.enter_context(answers)
            request = json.dumps([list(arguments), dict(variables), os.getcwd()]).encode()
            with theirs:
                socket.send_fds(self._requests, [request], [theirs.fileno(), *(one.fileno() for one in streams)])
            status = _await_end(answers, limit)
            return status, _text(streams[1]), _text(streams[2])

    def close(self) -> None:
        """Ends the server."""
        self._requests.close()
        self._process.wait()


@cache
def fork_server() -> ForkServer:
    """Gives the server of this process, which is started when it is first needed."""
    return ForkServer()


def _await_end(answers: socket.socket, limit: float) -> int:
    answers.settimeout(limit)
    pid = int(answers.recv(32))
    try:
        return int(answers.recv(32))
    except TimeoutError:
        os.kill(pid, signal.SIGKILL)
        raise


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
            return _become(*json.loads(request), descriptors)
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
    sys.argv = ["souk", *arguments]
    signal.signal(signal.SIGINT, signal.default_int_handler)


if __name__ == "__main__":
    _serve(socket.socket(fileno=sys.stdin.fileno()))
    main()
