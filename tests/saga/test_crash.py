"""Dies at every point of a saga and of its compensation, starts again, and looks what became of it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from souk.saga.definition import Saga, Step
from souk.saga.fault_points import fault_points
from souk.saga.waits import receive, timer
from souk.testing.saga_crash import SCENARIOS, WAITING_SCENARIOS

POINTS = [
    *(f"place/started/{when}" for when in ("before", "after")),
    *(f"place/{step}/{what}/{when}"
      for step, kinds in {
          "reserve": ("do", "recorded", "undo", "undone"),
          "charge": ("do", "recorded", "undo", "undone"),
          "confirm": ("recorded",),
          "ship": ("do", "recorded"),
      }.items()
      for what in kinds
      for when in ("before", "after")),
]  # fmt: skip

WAITS = [
    *(f"place/approval/{what}/{when}" for what in ("delivered", "recorded") for when in ("before", "after")),
    *(f"place/cooling off/recorded/{when}" for when in ("before", "after")),
]
WAITING_SAMPLE = [
    "well:place/approval/delivered/after",
    "well:place/reserve/recorded/after",
    "early:place/started/before",
    "silent:place/approval/recorded/before",
]
OPTIONS = [(), ("--wide",), ("--waiting",), ("--wide", "--waiting")]
MATRIX = [
    (scenario, options)
    for options in OPTIONS
    for scenario in (WAITING_SCENARIOS if "--waiting" in options else SCENARIOS)
]

SAMPLE = [
    "well:place/started/before",
    "well:place/charge/do/after",
    "well:place/confirm/recorded/before",
    "well:place/ship/do/after",
    "declined:place/reserve/undo/after",
    "down:place/charge/undo/before",
]


def lives(folder: Path, cases: list[str], *options: str) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "souk.testing.saga_crash", str(folder), *options, *cases]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(results) == len(cases), done.stderr
    return results


async def _call(*_: object) -> None:
    """Stands for a participant."""


def test_the_points_are_those_of_the_saga() -> None:
    saga = Saga(
        "place",
        Step("reserve", do=_call, undo=_call),
        Step("charge", do=_call, undo=_call),
        Step("confirm", record=_call, pivot=True),
        Step("ship", do=_call),
        rejected=_call,
    )
    assert fault_points(saga) == POINTS
    waiting = Saga(
        "place", receive("approval", limit=1.0), timer("cooling off", 1.0), Step("z", pivot=True), rejected=_call
    )
    assert [one for one in fault_points(waiting) if "/z/" not in one and "started" not in one] == WAITS


def test_a_crash_leaves_nothing_half_done(tmp_path: Path) -> None:
    results = lives(tmp_path, SAMPLE)
    assert [result["case"] for result in results if result["violations"] or not result["struck"]] == [], results


def test_a_crash_among_steps_beside_each_other_leaves_nothing_half_done(tmp_path: Path) -> None:
    results = lives(tmp_path, SAMPLE, "--wide")
    assert [result["case"] for result in results if result["violations"] or not result["struck"]] == [], results


def test_a_crash_of_a_saga_that_waits_leaves_nothing_half_done(tmp_path: Path) -> None:
    results = lives(tmp_path, WAITING_SAMPLE, "--waiting")
    assert [result["case"] for result in results if result["violations"] or not result["struck"]] == [], results


def test_a_participant_that_is_not_idempotent_is_found_out(tmp_path: Path) -> None:
    for result in lives(tmp_path, ["well:place/charge/do/after", "declined:place/reserve/undo/after"], "--forgetful"):
        assert result["struck"]
        assert "the participants have" in result["violations"][0]


@pytest.mark.full
@pytest.mark.parametrize(("scenario", "options"), MATRIX)
def test_a_crash_anywhere_leaves_nothing_half_done(tmp_path: Path, scenario: str, options: tuple[str, ...]) -> None:
    points = [*POINTS, *WAITS] if "--waiting" in options else POINTS
    results = lives(tmp_path, [f"{scenario}:{point}" for point in points], *options)
    assert [result for result in results if result["violations"]] == []
    assert sum(result["struck"] for result in results) >= (len(POINTS) // 2 if scenario in SCENARIOS else 6)


@pytest.mark.full
@pytest.mark.parametrize("options", OPTIONS)
def test_every_point_is_struck_in_some_scenario(tmp_path: Path, options: tuple[str, ...]) -> None:
    points = {*POINTS, *WAITS} if "--waiting" in options else set(POINTS)
    struck = set[str]()
    for number, scenario in enumerate(WAITING_SCENARIOS if "--waiting" in options else SCENARIOS):
        missing = [f"{scenario}:{point}" for point in sorted(points - struck)]
        results = lives(tmp_path / str(number), missing, *options) if missing else []
        struck |= {result["case"].split(":", 1)[1] for result in results if result["struck"]}
    assert struck == points
