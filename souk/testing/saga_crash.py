"""Kills a process at a named fault point of a saga, resumes the saga in a new one, and checks the result.

    python -m souk.testing.saga_crash FOLDER [--forgetful] [--wide] [--waiting] SCENARIO:POINT ...

With `--waiting` the saga waits for a message, whose sender repeats it until it is answered, and for a time. It prints a
JSON line for each case: {"case": ..., "struck": whether it died there, "violations": [...]}. Each life is a process of
its own, forked from this one, which has everything imported and no event loop.
"""

import asyncio
import json
import os
import sys
import traceback
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from souk.faults import EXIT_STATUS, Faults
from souk.kernel.clock import MICROSECONDS, SystemClock
from souk.saga.definition import SagaRef
from souk.saga.runner import SagaRunner, SagaSettings
from souk.telemetry.logs import LogSettings, configure
from souk.testing.saga_suite import LOST, PATIENCE, REFUSE, VANISH, Shop, violations

SCENARIOS: dict[str, dict[str, list[str]]] = {
    "well": {},
    "declined": {"bank": [REFUSE]},
    "lost": {"stock": [LOST], "bank": [LOST], "depot": [LOST]},
    "down": {"bank": [LOST] + [VANISH] * 1000},
    "undo lost": {"bank": [VANISH, REFUSE], "bank undo": [VANISH, LOST], "stock undo": [LOST]},
}
"""What the participants do in the first life; in the next one calls succeed, except in the scenario "declined"."""
WAITING_SCENARIOS: dict[str, dict[str, list[str]]] = {
    **SCENARIOS,
    "early": {},
    "no": {},
    "silent": {},
    "silence is consent": {},
}
"""Those of a saga that waits: the message comes when the run waits for it, unless it comes before the run, says no, or
does not come."""

SETTINGS = SagaSettings(claim=0.02, poll=0.02, pause=0.002, longest_pause=0.02)
DEADLINE = 60.0
_ARGUMENT_ERROR = 2


class NextLifeClock(SystemClock):
    """The clock of the next life: by it the lease of the first life has expired."""

    def now(self) -> int:
        return super().now() + round((SETTINGS.lease + 1) * MICROSECONDS)


def _prepare(shop: Shop, scenario: str) -> None:
    script = WAITING_SCENARIOS[scenario]
    for name, participant in zip(("stock", "bank", "depot"), shop.participants, strict=True):
        participant.does.extend(script.get(name, ()))
        participant.undoes.extend(script.get(f"{name} undo", ()))


def _options(scenario: str, *, waiting: bool, **options: Any) -> dict[str, Any]:
    if waiting:
        silent = scenario.startswith("silen")
        options |= {"approval": 0.05 if silent else 3_600.0, "goes_on": scenario == "silence is consent"}
    return options


async def _send(shop: Shop, runner: SagaRunner, scenario: str) -> None:
    """Sends the message of the scenario, if it has one; the sender does not know whether it has come before."""
    if shop.approval and not scenario.startswith("silen"):
        await shop.deliver(runner, verdict="no" if scenario == "no" else "yes")


async def _rests(runner: SagaRunner, ref: SagaRef) -> None:
    """Waits until nobody drives the run: it waits, or has ended."""
    if (drive := runner._drives.get(ref)) is not None:
        await drive.stopped.wait()


async def first_life(folder: Path, scenario: str, point: str, **options: Any) -> None:
    """Runs a saga until it reaches `point`, where the process dies, or to its end."""
    deadline = 0.05 if scenario == "down" else DEADLINE
    shop = await Shop.open(folder, deadline=deadline, **_options(scenario, **options))
    _prepare(shop, scenario)
    runner = SagaRunner(
        shop.database, [shop.saga()], SystemClock(), "first", SETTINGS, Faults({point: 0}), service="order"
    )
    work = asyncio.create_task(runner.run())
    if scenario == "early":
        await _send(shop, runner, scenario)
    ref = await shop.start(runner)
    if scenario != "early":
        await _rests(runner, ref)
        await _send(shop, runner, scenario)
    await runner.wait_ended(ref, SystemClock().monotonic() + PATIENCE)
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    await shop.close()


async def next_life(folder: Path, scenario: str, **options: Any) -> list[str]:
    """Resumes the saga, waits until it has ended, and returns the violations."""
    clock = NextLifeClock()
    shop = await Shop.open(folder, clock=clock, **_options(scenario, **options))
    if scenario == "declined":
        _prepare(shop, scenario)
    runner = SagaRunner(shop.database, [shop.saga()], clock, "next", SETTINGS, service="order")
    await _send(shop, runner, scenario)
    task = asyncio.create_task(runner.run())
    try:
        progress = await runner.wait_ended(SagaRef("place", "O-1", 1), clock.monotonic() + PATIENCE)
    except LookupError:
        progress = None
    found = await violations(shop, progress)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await shop.close()
    return found


def live(life: Callable[[], Coroutine[None, None, object]]) -> tuple[int, str]:
    """Runs one life in a process of its own; returns its exit status and its result as JSON."""
    ear, mouth = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(ear)
            os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # logs must not mix with the results
            os.write(mouth, json.dumps(asyncio.run(life())).encode())
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    os.close(mouth)
    with os.fdopen(ear) as pipe:
        output = pipe.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), output


def crash(folder: Path, scenario: str, point: str, **options: Any) -> dict[str, object]:
    """Runs the two lives of one case; `violations` is empty if the second one completed the saga correctly."""
    folder.mkdir(parents=True)
    status, _ = live(lambda: first_life(folder, scenario, point, **options))
    again, output = live(lambda: next_life(folder, scenario, **options))
    known = status in (0, EXIT_STATUS) and again == 0
    found = json.loads(output) if known else [f"a life ended with {status}, the next with {again}"]
    return {"case": f"{scenario}:{point}", "struck": status == EXIT_STATUS, "violations": found}


def main(arguments: list[str]) -> int:
    """Runs the cases one after the other, and returns the exit status."""
    if not arguments:
        return _ARGUMENT_ERROR
    configure(LogSettings())
    folder, *cases = arguments
    options = {"idempotent": "--forgetful" not in cases, "wide": "--wide" in cases, "waiting": "--waiting" in cases}
    for number, case in enumerate(case for case in cases if not case.startswith("--")):
        scenario, point = case.split(":", 1)
        result = crash(Path(folder) / str(number), scenario, point, **options)
        sys.stdout.write(json.dumps(result) + "\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
