"""The logs of several processes as one: searched by trace, id, level, time and text, and followed."""

import json
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from souk.admin.logs.blocks import PIECE
from souk.admin.logs.search import Logs, LogSearch, logs_below, search_logs
from souk.admin.logs.wanted import LogFilter
from souk.kernel.clock import from_datetime
from souk.supervisor.output.process_log import Journal

TRACE, OTHER = "0af7651916cd43dd8448eb211c80319c", "b" * 32


def record(second: int, event: str, level: str = "info", **more: Any) -> str:
    time = f"2026-03-01T12:00:{second:02}.5Z"
    return json.dumps({"event": event, "level": level, "timestamp": time, **more}, separators=(",", ":"))


def at(second: int) -> int:
    return from_datetime(datetime(2026, 3, 1, 12, 0, second, tzinfo=UTC))


def write(path: Path, *lines: str) -> None:
    with path.open("a") as file:
        file.write("".join(f"{line}\n" for line in lines))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(
        tmp_path / "gateway-1.log",
        "ready gateway 127.0.0.1:1",
        record(1, "request", trace_id=TRACE, location="/api/v1/orders/ORD-1"),
        record(5, "request", trace_id=OTHER, path="/api/v1/orders/ORD-12"),
    )
    write(
        tmp_path / "order-1.log",
        record(2, "a call failed", "error", trace_id=TRACE),
        "Traceback (most recent call last):",
        "ValueError: Tea",
        record(4, "slow", "warning"),
    )
    write(
        tmp_path / "postgres.log",
        "2026-03-01 12:00:03.500 UTC [42] ERROR:  deadlock detected",
        "2026-03-01 12:00:03.500 UTC [42] DETAIL:  Process 1 waits",
        "2026-03-01 12:00:06.500 UTC [43] LOG:  checkpoint starting",
    )
    return tmp_path


def found(folder: Path, limit: int = 100, **wanted: Any) -> list[str]:
    return shown(search_logs(logs_below(folder), LogFilter(**wanted), limit))


def shown(search: LogSearch) -> list[str]:
    return [f"{one.instance} {events(one.line)}" for one in search.records]


def events(line: str) -> str:
    return json.loads(line)["event"] if line.startswith("{") else line.rpartition("  ")[2]


def test_all_logs_are_one_in_order_of_time(folder: Path) -> None:
    assert found(folder) == [
        "gateway-1 ready gateway 127.0.0.1:1",
        "gateway-1 request",
        "order-1 a call failed",
        "order-1 Traceback (most recent call last):",
        "order-1 ValueError: Tea",
        "postgres deadlock detected",
        "postgres Process 1 waits",
        "order-1 slow",
        "gateway-1 request",
        "postgres checkpoint starting",
    ]


TRACED = ["gateway-1 request", "order-1 a call failed", "order-1 Traceback (most recent call last):"]
DEADLOCK = ["postgres deadlock detected", "postgres Process 1 waits"]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"trace": TRACE}, [*TRACED, "order-1 ValueError: Tea"]),
        ({"about": "ORD-1"}, [*TRACED, "order-1 ValueError: Tea"]),
        ({"about": "ORD-12"}, ["gateway-1 request"]),
        ({"about": "ORD"}, [*TRACED, "order-1 ValueError: Tea", "gateway-1 request"]),
        ({"about": "ORD-9"}, []),
        ({"level": "warning", "since": at(4)}, ["order-1 slow"]),
        ({"level": "error"}, [*TRACED[1:], "order-1 ValueError: Tea", *DEADLOCK]),
        ({"until": at(2)}, ["gateway-1 request"]),
        ({"since": at(6)}, ["postgres checkpoint starting"]),
        ({"since": at(3), "until": at(4)}, DEADLOCK),
        ({"text": "valueerror: tea"}, [*TRACED[1:], "order-1 ValueError: Tea"]),
        ({"text": "REQUEST", "trace": OTHER}, ["gateway-1 request"]),
        ({"text": "ready gateway"}, ["gateway-1 ready gateway 127.0.0.1:1"]),
    ],
    ids=str,
)
def test_what_is_wanted(folder: Path, wanted: dict[str, Any], expected: list[str]) -> None:
    assert found(folder, **wanted) == expected


def test_a_limit_keeps_the_last_and_says_that_there_is_more(folder: Path) -> None:
    search = search_logs(logs_below(folder), LogFilter(level="warning"), 2)
    assert (shown(search), search.more) == (["postgres Process 1 waits", "order-1 slow"], True)
    whole = search_logs(logs_below(folder), LogFilter(level="warning"), 6)
    assert (len(whole.records), whole.more) == (6, False)
    assert search_logs(logs_below(folder), LogFilter(), 0) == LogSearch((), more=False)


@pytest.mark.parametrize("padding", [1, 100, PIECE // 10, 2 * PIECE])
def test_rotated_files_are_searched_whatever_the_length_of_lines(tmp_path: Path, padding: int) -> None:
    path = tmp_path / "order-1.log"
    journal = Journal(path, full=4 * PIECE, kept=5)
    names = [f"event {number}" for number in range(40)]
    for second, name in enumerate(names):
        journal.write([record(second, name, more="x" * padding).encode(), b"  and a line of it"])
    journal.close()
    assert [line for line in found(tmp_path) if "event" in line][-6:] == [f"order-1 {name}" for name in names[-6:]]
    assert found(tmp_path, text="event 39") == ["order-1 event 39", "order-1 and a line of it"]
    if padding < PIECE:
        assert len(found(tmp_path)) == 80
        assert found(tmp_path, text="event 7") == ["order-1 event 7", "order-1 and a line of it"]


def test_a_log_without_times_is_found_by_its_text(tmp_path: Path) -> None:
    write(tmp_path / "plain.log", *(f"line {number}" for number in range(20_000)))
    assert found(tmp_path, text="line 777") == ["plain line 777", *(f"plain line 777{digit}" for digit in range(10))]
    assert found(tmp_path, since=1) == []
    assert found(tmp_path, limit=2) == ["plain line 19998", "plain line 19999"]


def test_what_follows_is_judged_like_what_was_there(folder: Path) -> None:
    with closing(Logs(LogFilter(about="ORD-1"))) as logs:
        paths = logs_below(folder)
        assert len(logs.search(paths, 10).records) == 4
        write(folder / "order-1.log", record(7, "other"), record(8, "late", trace_id=TRACE))
        write(folder / "payment-1.log", record(9, "charged", trace_id=OTHER), record(9, "refunded", order="ORD-1"))
        assert [events(one.line) for one in logs.further(logs_below(folder))] == ["late", "refunded"]
        write(folder / "order-1.log", "and more of it")
        assert [one.line for one in logs.further([])] == ["and more of it"]


def test_an_unfinished_line_is_given_once_and_whole(tmp_path: Path) -> None:
    path = tmp_path / "order-1.log"
    path.write_text(record(1, "one") + "\n" + record(2, "two")[:10])
    with closing(Logs()) as logs:
        assert shown(logs.search([("order-1", path)], 10)) == ["order-1 one"]
        write(path, record(2, "two")[10:])
        assert [events(one.line) for one in logs.further([])] == ["two"]


def test_a_log_that_is_between_two_files_is_searched(tmp_path: Path) -> None:
    write(tmp_path / "order-1.log.1", record(1, "before"))
    assert shown(search_logs([("order-1", tmp_path / "order-1.log")], LogFilter(), 9)) == ["order-1 before"]


def test_a_record_as_json_has_its_fields_and_those_known_of_any_line(folder: Path) -> None:
    records = search_logs(logs_below(folder), LogFilter(), 100).records
    assert records[1].fields()["location"] == "/api/v1/orders/ORD-1"
    error = next(one for one in records if "deadlock" in one.line).fields()
    assert (error["instance"], error["level"], error["timestamp"]) == (
        "postgres",
        "error",
        "2026-03-01T12:00:03.500000Z",
    )


def test_the_times_of_valkey(tmp_path: Path) -> None:
    write(
        tmp_path / "valkey.log",
        "1:M 01 Mar 2026 12:00:00.046 # WARNING: it is full",
        "1:M 99 Mar 2026 12:00:00.046 * x",
    )
    (first, second) = search_logs(logs_below(tmp_path), LogFilter(level="warning"), 9).records
    assert first.at == second.at == from_datetime(datetime(2026, 3, 1, 12, 0, 0, 46_000).astimezone())
