"""What the kernel reports of a process and of those that it has started."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from souk.telemetry.proc import children, cpu_seconds, family_bytes, identity, resident_bytes
from tests.audited import audited

WORKED = 0.5
TICKS = 0.1
"""Seconds by which the kernel's count, in ticks of user and system, may be behind the process's own clock."""
WORKING = f"""
import time
while time.process_time() < {WORKED}:
    pass
print(flush=True)
time.sleep(60)
"""
FROM_ANOTHER_THREAD = f"""
import subprocess, sys, threading
work = [sys.executable, "-c", {WORKING!r}]
threading.Thread(target=lambda: subprocess.run(work)).start()
"""
NAMED_BY_BYTES = """
import ctypes, time
ctypes.CDLL(None).prctl(15, b"caf\\xc3) (", 0, 0, 0)
print(flush=True)
time.sleep(60)
"""


@contextmanager
def running(program: str) -> Iterator[int]:
    """Runs a program until it has printed a line, gives its number, and kills it with what it has started."""
    words = [sys.executable, "-c", program]
    with subprocess.Popen(words, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline()
            yield process.pid
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def test_the_work_of_a_child_counts_whichever_thread_has_started_it() -> None:
    with running(FROM_ANOTHER_THREAD) as pid:
        assert cpu_seconds(pid) >= WORKED - TICKS


def test_a_name_that_is_no_text_hides_no_process() -> None:
    with running(NAMED_BY_BYTES) as pid:
        assert pid in [child.pid for child in children(os.getpid())]
        assert identity(pid) is not None


def test_nothing_is_known_of_a_process_that_is_not_there() -> None:
    assert (identity(0), children(0x7FFFFFFF), cpu_seconds(0)) == (None, [], 0.0)


def test_memory_is_not_known_of_a_process_that_is_gone() -> None:
    assert (resident_bytes(Path("/proc/0/statm")), family_bytes(0)) == (0, 0)


def test_nor_of_one_that_ends_while_it_is_looked_at() -> None:
    with subprocess.Popen(["sleep", "60"]) as child:

        def watch(event: str, path: Path) -> None:
            if event in {"os.scandir", "os.listdir"} and path == Path(f"/proc/{child.pid}/task"):
                child.kill()
                child.wait()

        with audited(watch):
            family_bytes(child.pid)
    assert child.returncode == -signal.SIGKILL
