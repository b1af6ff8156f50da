"""The names of the fault points of a two-phase commit, at which a test can kill the process (see `souk.faults`)."""

from souk.two_phase_commit.definition import AtomicAction

BEFORE, AFTER = "before", "after"
PREPARE, COMMIT, ROLL_BACK = "prepare", "commit", "roll back"
STARTED, DECIDED, ABORTED, ENDED = "started", "decided", "aborted", "ended"


def call_point(action: str, branch: str, what: str, when: str) -> str:
    """Returns the name of the point before or after a call, such as `place-order/reserve stock/prepare/after`."""
    return f"{action}/{branch}/{what}/{when}"


def record_point(action: str, what: str, when: str) -> str:
    """Returns the name of the point around a transaction of the coordinator; `before` strikes inside, at its end."""
    return f"{action}/{what}/{when}"


def two_phase_fault_points(action: AtomicAction) -> list[str]:
    """Returns all fault points of an action."""
    around = (BEFORE, AFTER)
    names = [record_point(action.name, what, when) for what in (STARTED, DECIDED, ABORTED, ENDED) for when in around]
    calls = (PREPARE, COMMIT, ROLL_BACK)
    names += [
        call_point(action.name, each.name, what, when) for each in action.branches for what in calls for when in around
    ]
    return names
