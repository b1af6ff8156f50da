"""The histogram of latencies against prometheus_client's own, as an oracle."""

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram

from souk.telemetry.latencies import Latencies
from souk.telemetry.metrics import LATENCY_BUCKETS, exposition

TIMES = st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from([*LATENCY_BUCKETS, 0.0, 0.0011, 7.5, 10.1, 1e6])))


@given(TIMES)
def test_a_scrape_reads_as_that_of_the_clients_histogram(times: list[tuple[str, float]]) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    one = Latencies(ours, "souk_seconds", "Times.", ("kind",))
    other = Histogram("souk_seconds", "Times.", ("kind",), buckets=LATENCY_BUCKETS, registry=theirs)
    for kind, seconds in times:
        one.labels(kind).observe(seconds)
        other.labels(kind).observe(seconds)
    # The client says besides since when it counts, which nobody reads.
    expected = [line for line in exposition(theirs).decode().splitlines() if "_created" not in line]
    assert exposition(ours).decode().splitlines() == expected
