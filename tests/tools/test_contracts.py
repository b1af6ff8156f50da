"""`make proto` changes the generated code as a whole or not at all."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LONG_ENOUGH = 60.0


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of what `make proto` needs."""
    ignored = shutil.ignore_patterns("__pycache__")
    for folder in ("contracts", "tools"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=ignored)
    return tmp_path


def command(tree: Path) -> list[str]:
    return [sys.executable, str(tree / "tools" / "contracts.py"), "generate"]


def content(folder: Path) -> Mapping[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_typo_is_named_by_file_and_line_and_changes_nothing(tree: Path) -> None:
    proto = tree / "contracts" / "shop" / "order" / "v1" / "order.proto"
    lines = proto.read_text().splitlines()
    number = next(index for index, line in enumerate(lines) if line.startswith("message "))
    lines[number] = lines[number].replace("message", "massage")
    proto.write_text("\n".join(lines) + "\n")
    before = content(tree / "contracts")

    done = subprocess.run(command(tree), text=True, capture_output=True, check=False, timeout=LONG_ENOUGH)

    assert done.returncode == 1
    assert done.stderr.startswith(f"contracts/shop/order/v1/order.proto:{number + 1}:1: ")
    assert "Traceback" not in done.stderr
    assert all(".proto:" in line for line in done.stderr.splitlines())
    assert content(tree / "contracts") == before


def test_ctrl_c_in_the_middle_changes_nothing(tree: Path) -> None:
    pipe = tree / "contracts" / "shop" / "order" / "v1" / "pipe.proto"
    before = content(tree / "contracts")
    os.mkfifo(pipe)
    with subprocess.Popen(command(tree), stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        wait_for_a_reader(pipe)  # protoc is now in the middle of its work, and stays there
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=LONG_ENOUGH)
    pipe.unlink()

    assert process.returncode == 130
    assert said.strip() == "stopped; contracts/gen is as it was"
    assert content(tree / "contracts") == before


def wait_for_a_reader(pipe: Path) -> None:
    end = time.monotonic() + LONG_ENOUGH
    while time.monotonic() < end:
        try:
            os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
        except OSError:  # ENXIO: there is no reader yet
            time.sleep(0.02)
        else:
            return
    raise AssertionError("nobody reads the pipe")


def test_what_went_well_replaces_the_whole_tree(tree: Path) -> None:
    generated = tree / "contracts" / "gen"
    stale = generated / "shop" / "gone" / "v1" / "gone_pb2.py"
    stale.parent.mkdir(parents=True)
    stale.touch()
    (generated / "shop" / "order" / "v1" / "order_pb2.py").unlink()
    (tree / "contracts" / ".gen-left-by-a-kill").mkdir()

    done = subprocess.run(command(tree), text=True, capture_output=True, check=False, timeout=LONG_ENOUGH)

    assert (done.returncode, done.stderr) == (0, "")
    assert not stale.exists()
    assert content(generated) == {
        name: text for name, text in content(ROOT / "contracts" / "gen").items() if "__pycache__" not in name
    }
    assert sorted(path.name for path in (tree / "contracts").glob(".gen-*")) == []
