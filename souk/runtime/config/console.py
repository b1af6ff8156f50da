"""What can be told to the console, and to what gathers its data."""

from dataclasses import dataclass

from souk.telemetry.tracing.tracing import KeptSpans


@dataclass(frozen=True, slots=True)
class ConsoleSettings:
    """Whether there is a console (`on`), and what it keeps: `megabytes` and `hours` at most.

    `traces` is how many new traces a second are recorded for it, where nothing of OTEL_* says which; after a rest more.
    """

    on: bool = True
    megabytes: int = 256
    hours: int = 72
    traces: int = 5

    @property
    def kept_spans(self) -> KeptSpans | None:
        """What each process keeps of its spans for the console."""
        return KeptSpans(self.traces) if self.on else None
