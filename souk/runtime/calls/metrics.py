"""Numbers of the calls between services: how long they took, how they ended, which breakers are open."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Histogram

from souk.resilience.breaker import Breaker, State
from souk.rpc.call import Call, CallFailed
from souk.rpc.client.layers import Ended
from souk.telemetry.metrics import LATENCY_BUCKETS, Sample, measure

DONE = "done"


class CallMetrics:
    """Counts the calls of one process into `registry`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._seconds = Histogram(
            "souk_call_seconds",
            "Calls between services, all tries together, by how they ended.",
            ("caller", "callee", "method", "outcome"),
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )
        self._breakers: dict[tuple[str, str], Breaker] = {}
        measure(
            registry, "souk_breaker_state", "1 for the state of a breaker.", ("caller", "callee", "state"), self._states
        )

    def ended(self, caller: str) -> Ended:
        """What a channel of `caller` tells of each of its calls."""

        # Of its own: to look a child up by its labels costs as much as all the rest of it.
        children: dict[tuple[str, str], Histogram] = {}

        def tell(call: Call, seconds: float, error: CallFailed | None) -> None:
            outcome = DONE if error is None else error.outcome.value
            place = (call.method.full_name, outcome)
            child = children.get(place)
            if child is None:
                method = call.method
                child = children[place] = self._seconds.labels(caller, method.service, method.name, outcome)
            child.observe(seconds)

        return tell

    def watch(self, caller: str, callee: str, breaker: Breaker) -> None:
        """Shows a breaker's state from now on."""
        self._breakers[caller, callee] = breaker

    def _states(self) -> Iterator[Sample]:
        for (caller, callee), breaker in self._breakers.items():
            for state in State:
                yield {"caller": caller, "callee": callee, "state": state.name.lower()}, float(breaker.state is state)
