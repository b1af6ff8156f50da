"""Which runs of sagas an operator means."""

from collections.abc import Sequence
from dataclasses import dataclass

from souk.kernel.clock import MICROSECONDS
from souk.saga.definition import SagaRef
from souk.store.database import Value

STATES = {
    "open": "NOT r.ended",
    "running": "r.phase = 'running' AND NOT r.ended",
    "going back": "r.phase IN ('turned_back', 'rejected')",
    "committed": "r.phase = 'committed'",
    "waiting": "NOT r.ended AND r.waiting_since <> 0 AND NOT r.parked AND r.paused_at = 0",
    "parked": "NOT r.ended AND (r.parked OR r.unknown_step <> '')",
    "paused": "NOT r.ended AND r.paused_at <> 0",
    "stuck": "NOT r.ended AND (r.parked OR r.unknown_step <> '' OR r.paused_at <> 0 OR"
    " CASE WHEN r.waiting_since <> 0 THEN r.wait_until < {now} ELSE r.phase = 'running' AND r.deadline_at < {now} END)",
    "ended": "r.ended",
    "all": "TRUE",
}
"""The states by which runs are chosen, as SQL. `stuck` is what needs a look: parked, paused, or beyond its
deadline or the time of its wait."""
_OPEN_STEP = "s.state NOT IN ('waiting', 'done', 'refused', 'not_sent', 'undone')"
_STEPS = f"""EXISTS (SELECT 1 FROM souk_saga_step s WHERE s.subject = r.subject AND s.saga = r.saga
    AND s.attempt = r.attempt AND {_OPEN_STEP} AND """


@dataclass(frozen=True, slots=True)
class RunFilter:
    """What is wanted of runs; what is empty says nothing.

    `older` is the time since the start in seconds. `step` is one under way or parked. `reason` is a part of the reason
    of a refusal or of a step's last failure, `text` a part of the subject, of the user, or of the refusal's text.
    """

    state: str = "open"
    refs: Sequence[SagaRef] = ()
    saga: str = ""
    step: str = ""
    reason: str = ""
    text: str = ""
    older: float = 0.0

    def condition(self, now: str) -> tuple[str, list[Value]]:
        """Returns SQL about a run `r`, with its values; `now` is SQL for the present time. Raises KeyError for an
        unknown state."""
        sql, values = [f"({STATES[self.state].format(now=now)})"], _Values()
        if self.refs:
            keys = [
                f"(r.subject = {values.add(ref.subject)} AND r.saga = {values.add(ref.name)}"
                f" AND r.attempt = {values.add(ref.attempt)})"
                for ref in self.refs
            ]
            sql.append(f"({' OR '.join(keys)})")
        if self.saga:
            sql.append(f"r.saga = {values.add(self.saga)}")
        if self.older:
            sql.append(f"r.started_at <= {now} - {round(self.older * MICROSECONDS)}")
        if self.step:
            sql.append(f"{_STEPS}s.step = {values.add(self.step)})")
        if self.reason:
            part = values.add(_part(self.reason))
            sql.append(f"(lower(r.reason) LIKE {part} ESCAPE '!' OR {_STEPS}lower(s.note) LIKE {part} ESCAPE '!'))")
        if self.text:
            part = values.add(_part(self.text))
            columns = ("r.subject", "r.on_behalf_of", "r.detail")
            texts = (f"lower({column}) LIKE {part} ESCAPE '!'" for column in columns)
            sql.append(f"({' OR '.join(texts)})")
        return " AND ".join(sql), values


class _Values(list[Value]):
    """The values of a statement."""

    def add(self, value: Value) -> str:
        """Adds one; returns its parameter."""
        self.append(value)
        return f"${len(self)}"


def _part(text: str) -> str:
    """Returns the pattern of LIKE for a text that contains this one, whatever the case."""
    for special in "!%_":
        text = text.replace(special, f"!{special}")
    return f"%{text.lower()}%"
