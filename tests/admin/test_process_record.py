"""What an earlier supervisor left is known again; what is somebody else's is not touched."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from souk.admin.process_record import ProcessesFile, Started, decode, encode, surviving
from souk.admin.process_status import ENGINE, SERVICE
from souk.supervisor import orphans
from souk.telemetry.proc import ProcessIdentity, boot, identity

ORDER = Started("order-1", SERVICE, signal.SIGTERM, ProcessIdentity(4711, 99, ("souk", "serve", "order")))
WAITS = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(0)); print(flush=True); signal.pause()"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); signal.pause()"


@pytest.fixture
def process(request: pytest.FixtureRequest) -> Iterator["subprocess.Popen[bytes]"]:
    program = getattr(request, "param", WAITS)
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


def test_a_record_says_what_was_written() -> None:
    assert decode(encode("this boot", [ORDER]), "this boot") == [ORDER]


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"boot": "this boot"}', '{"boot": "this boot", "started": [{}]}'])
def test_a_damaged_record_says_nothing(text: str) -> None:
    assert decode(text, "this boot") == []


def test_a_record_of_another_boot_says_nothing() -> None:
    assert decode(encode("the last boot", [ORDER]), "this boot") == []


@pytest.mark.parametrize(
    "now",
    [None, ProcessIdentity(4711, 100, ORDER.process.command), ProcessIdentity(4711, 99, ("somebody", "else"))],
    ids=["gone", "started later", "another command"],
)
def test_a_number_that_was_given_to_another_is_not_ours(now: ProcessIdentity | None) -> None:
    assert surviving([ORDER], lambda pid: now) == []
    assert surviving([ORDER], lambda pid: ORDER.process) == [ORDER]


def test_what_was_started_and_not_ended_is_found_by_the_next(
    tmp_path: Path, process: "subprocess.Popen[bytes]"
) -> None:
    words = (sys.executable, "-c", WAITS)
    record = ProcessesFile(tmp_path / "processes.json", boot())
    record.add("order-1", SERVICE, signal.SIGTERM, process.pid, words)
    record.add("order-2", SERVICE, signal.SIGTERM, os.getpid(), words)
    (found,) = ProcessesFile(tmp_path / "processes.json", boot()).left_behind()
    assert (found.name, found.process) == ("order-1", identity(process.pid))
    record.remove(process.pid)
    assert ProcessesFile(tmp_path / "processes.json", boot()).left_behind() == []


@pytest.mark.parametrize(
    ("process", "status"), [(WAITS, 0), (STUBBORN, -signal.SIGKILL)], indirect=["process"], ids=["asked", "killed"]
)
async def test_what_is_left_is_ended(
    process: "subprocess.Popen[bytes]", status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orphans, "SERVICES_LIMIT", 0.3)
    found = identity(process.pid)
    assert found is not None
    await orphans.end([Started("order-1", SERVICE, signal.SIGTERM, found)])
    assert process.wait(5) == status


async def test_engines_end_after_what_stands_on_them(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[str] = []

    async def end_all(left: list[Started], limit: float) -> None:
        ended.extend(one.name for one in left)

    monkeypatch.setattr(orphans, "_end_in_time", end_all)
    await orphans.end([Started("postgres", ENGINE, signal.SIGINT, ORDER.process), ORDER])
    assert ended == ["order-1", "postgres"]
