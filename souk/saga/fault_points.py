"""The names of the fault points of a saga, at which a test can kill the process (see `souk.faults`)."""

from souk.saga.definition import Saga

BEFORE, AFTER = "before", "after"
DO, RECORDED, UNDO, UNDONE = "do", "recorded", "undo", "undone"
STARTED = "started"
DELIVERED = "delivered"


def point(saga: str, step: str, what: str, when: str) -> str:
    """Returns the name of one fault point, such as `place-order/reserve stock/do/before`."""
    return f"{saga}/{step}/{what}/{when}"


def start_point(saga: str, when: str) -> str:
    """Returns the name of the fault point before or after the transaction that starts a run."""
    return f"{saga}/{STARTED}/{when}"


def fault_points(saga: Saga) -> list[str]:
    """Returns all fault points of a saga: around its start, each `do`, each `undo`, each commit of a result, and each
    delivery of a message that a run takes.

    `recorded/before`, `delivered/before` and `undone/before` strike inside the transaction, after all of its writes.
    """
    names = [start_point(saga.name, when) for when in (BEFORE, AFTER)]
    for step in saga.steps:
        done = [DO, RECORDED] if step.do is not None else [RECORDED]
        if step.wait is not None and step.wait.message:
            done.insert(0, DELIVERED)
        back = [UNDO, UNDONE] if step.undo is not None else []
        names += [point(saga.name, step.name, what, when) for what in done + back for when in (BEFORE, AFTER)]
    return names
