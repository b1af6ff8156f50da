"""One process a directory."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from souk.kernel.errors import ConfigurationError
from souk.store.sqlite.directory_lock import lock_directory


def test_a_second_lock_names_who_has_the_first(tmp_path: Path):
    lock = lock_directory(tmp_path)
    with pytest.raises(ConfigurationError, match=f"{tmp_path} is in use by process {os.getpid()}"):
        lock_directory(tmp_path)
    lock.release()
    lock.release()
    lock_directory(tmp_path).release()


def test_a_process_that_dies_gives_the_lock_back(tmp_path: Path):
    program = (
        "import os, sys, pathlib; from souk.store.sqlite.directory_lock import lock_directory;"
        "lock_directory(pathlib.Path(sys.argv[1])); print('locked', flush=True); sys.stdin.read(1); os._exit(9)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"locked\n"
        with pytest.raises(ConfigurationError, match=f"in use by process {process.pid}"):
            lock_directory(tmp_path)
        process.communicate(b"x")
    lock_directory(tmp_path).release()


def test_a_directory_that_is_not_there_is_one_clear_line(tmp_path: Path):
    with pytest.raises(ConfigurationError, match="cannot be written: No such file or directory"):
        lock_directory(tmp_path / "nowhere")
