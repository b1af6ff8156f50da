"""Dies at a named point of a saga, starts again, and tells what is wrong once all is at rest.

    python -m souk.testing.saga_crash FOLDER [--forgetful] SCENARIO:POINT ...

One JSON line a case: {"case": ..., "struck": whether it died there, "violations": [...]}. A process
of its own for each life: forked from this one, which has everything imported and no event loop.
"""

import asyncio
import json
import os
import sys
import traceback
from collections.abc import Callable, Coroutine
from pathlib import Path

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
"""What the participants meet in the life that dies; in the next one all is well, or as below."""

SETTINGS = SagaSettings(claim=0.02, poll=0.02, pause=0.002, longest_pause=0.02)
DEADLINE = 60.0
_ARGUMENT_ERROR = 2


class NextLifeClock(SystemClock):
    """The clock of the next life: the lease of the last one is over."""

    def now(self) -> int:
        return super().now() + round((SETTINGS.lease + 1) * MICROSECONDS)


def _prepare(shop: Shop, scenario: str) -> None:
    for name, participant in zip(("stock", "bank", "depot"), shop.participants, strict=True):
        participant.does.extend(SCENARIOS[scenario].get(name, ()))
        participant.undoes.extend(SCENARIOS[scenario].get(f"{name} undo", ()))


async def first_life(folder: Path, scenario: str, point: str, idempotent: bool) -> None:
    """Runs a saga until it strikes `point`, or to its end."""
    deadline = 0.05 if scenario == "down" else DEADLINE
    shop = await Shop.open(folder, idempotent=idempotent, deadline=deadline)
    _prepare(shop, scenario)
    runner = SagaRunner(
        shop.database, [shop.saga()], SystemClock(), "first", SETTINGS, Faults({point: 0}), service="order"
    )
    ref = await shop.start(runner)
    await runner.wait_ended(ref, SystemClock().monotonic() + PATIENCE)
    await runner.close()
    await shop.close()


async def next_life(folder: Path, scenario: str, idempotent: bool) -> list[str]:
    """Starts again on what is there, waits until all is at rest, and looks."""
    clock = NextLifeClock()
    shop = await Shop.open(folder, clock=clock, idempotent=idempotent)
    if scenario == "declined":
        _prepare(shop, scenario)
    runner = SagaRunner(shop.database, [shop.saga()], clock, "next", SETTINGS, service="order")
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
    """Runs one life in a process of its own; returns its exit status and what it said."""
    ear, mouth = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(ear)
            os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # logs are no results
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


def crash(folder: Path, scenario: str, point: str, *, idempotent: bool) -> dict[str, object]:
    """Two lives of one saga; `violations` is empty if the second put everything right."""
    folder.mkdir(parents=True)
    status, _ = live(lambda: first_life(folder, scenario, point, idempotent))
    again, output = live(lambda: next_life(folder, scenario, idempotent))
    known = status in (0, EXIT_STATUS) and again == 0
    found = json.loads(output) if known else [f"a life ended with {status}, the next with {again}"]
    return {"case": f"{scenario}:{point}", "struck": status == EXIT_STATUS, "violations": found}


def main(arguments: list[str]) -> int:
    """Runs the cases in turn."""
    if not arguments:
        return _ARGUMENT_ERROR
    configure(LogSettings())
    folder, *cases = arguments
    idempotent = "--forgetful" not in cases
    for number, case in enumerate(case for case in cases if not case.startswith("--")):
        scenario, point = case.split(":", 1)
        result = crash(Path(folder) / str(number), scenario, point, idempotent=idempotent)
        sys.stdout.write(json.dumps(result) + "\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
