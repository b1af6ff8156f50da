"""The names of the points at which a saga may be made to die (see `souk.faults`)."""

from souk.saga.definition import Saga

BEFORE, AFTER = "before", "after"
DO, RECORDED, UNDO, UNDONE = "do", "recorded", "undo", "undone"
STARTED = "started"


def point(saga: str, step: str, what: str, when: str) -> str:
    """The name of one point, as in `place-order/reserve stock/do/before`."""
    return f"{saga}/{step}/{what}/{when}"


def start_point(saga: str, when: str) -> str:
    """The name of the point around the transaction that starts a run."""
    return f"{saga}/{STARTED}/{when}"


def fault_points(saga: Saga) -> list[str]:
    """All of a saga's points: around its start, each `do`, each `undo`, and each commit of their results.

    `recorded/before` and `undone/before` strike inside the transaction, with everything written.
    """
    names = [start_point(saga.name, when) for when in (BEFORE, AFTER)]
    for step in saga.steps:
        done = [DO, RECORDED] if step.do is not None else [RECORDED]
        back = [UNDO, UNDONE] if step.undo is not None else []
        names += [point(saga.name, step.name, what, when) for what in done + back for when in (BEFORE, AFTER)]
    return names
