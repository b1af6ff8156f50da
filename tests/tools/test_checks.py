"""Where the tests keep their files, and how they end."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))
import checks


@pytest.fixture(autouse=True)
def _no_folder_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TMPDIR", raising=False)
    monkeypatch.delitem(checks.ENVIRONMENT, "TMPDIR", raising=False)


def test_they_are_in_memory_until_the_tests_have_ended(tmp_path: Path) -> None:
    with checks.files_in_memory(tmp_path, room=1):
        (folder,) = tmp_path.iterdir()
        assert checks.ENVIRONMENT["TMPDIR"] == str(folder)
        (folder / "left").write_text("by a test")
    assert "TMPDIR" not in checks.ENVIRONMENT
    assert not list(tmp_path.iterdir())


def test_what_a_killed_run_has_left_is_removed(tmp_path: Path) -> None:
    with checks.files_in_memory(tmp_path, room=1):
        (folder,) = tmp_path.iterdir()
    (folder / "left").mkdir(parents=True)
    with checks.files_in_memory(tmp_path, room=1):
        assert not list(folder.iterdir())


@pytest.mark.parametrize("room", [1, 1 << 60])
def test_they_are_on_the_disk_where_there_is_no_room_or_a_folder_was_named(
    tmp_path: Path, room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if room == 1:
        monkeypatch.setenv("TMPDIR", "/elsewhere")
    with checks.files_in_memory(tmp_path, room):
        assert "TMPDIR" not in checks.ENVIRONMENT
        assert not list(tmp_path.iterdir())


def test_a_machine_without_memory_for_files_uses_its_disk(tmp_path: Path) -> None:
    with checks.files_in_memory(tmp_path / "missing", room=1):
        assert "TMPDIR" not in checks.ENVIRONMENT


CLEANS_UP = """
import pathlib, signal, sys, time
try:
    print("runs", flush=True)
    signal.pause()
except KeyboardInterrupt:
    time.sleep(1)  # longer than `subprocess.run` gives a process that was interrupted
    pathlib.Path(sys.argv[1]).touch()
"""
RUNS_TESTS = "import sys, checks; checks._tests('tests', (sys.executable, '-c', *sys.argv[1:]))"


def test_tests_that_are_interrupted_end_what_they_have_started(tmp_path: Path) -> None:
    command = (sys.executable, "-c", RUNS_TESTS, CLEANS_UP, str(tmp_path / "cleaned"))
    tools = {**os.environ, "PYTHONPATH": str(Path(checks.__file__).parent)}
    with subprocess.Popen(command, env=tools, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stdout is not None
        assert "runs\n" in process.stdout
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        assert process.wait() == 0
    assert (tmp_path / "cleaned").exists()


FAILS = """
import pathlib, pytest
SEEN = pathlib.Path({seen!r})

@pytest.mark.parametrize("number", range({failing}))
@pytest.mark.xdist_group("some")
def test_one(number):
    SEEN.mkdir(exist_ok=True)
    runs = len(list(SEEN.glob(f"{{number}}-*")))
    (SEEN / f"{{number}}-{{runs}}").touch()
    assert runs >= {times}

def test_other():
    (SEEN.parent / "other").write_text("once" if not (SEEN.parent / "other").exists() else "twice")
"""


@pytest.mark.parametrize(
    ("failing", "times", "status", "runs"),
    [(2, 1, 0, 4), (2, 2, 1, 4), (checks.MOST_AGAIN + 1, 1, 1, checks.MOST_AGAIN + 1)],
    ids=["once", "twice", "too many"],
)
def test_a_few_that_fail_run_once_more(
    tmp_path: Path, failing: int, times: int, status: int, runs: int, capfd: pytest.CaptureFixture[str]
) -> None:
    seen = tmp_path / "seen"
    (tmp_path / "test_some.py").write_text(FAILS.format(seen=str(seen), failing=failing, times=times))
    command = (*checks.PYTEST, "-c", os.devnull, "--rootdir", str(tmp_path), *checks.SPREAD, "2", str(tmp_path))
    assert checks._tests_again("tests", command) == status
    said = capfd.readouterr().out
    assert said.count("it runs once more") == (runs - failing)
    assert len(list(seen.iterdir())) == runs, said
    assert (tmp_path / "other").read_text() == "once", said
