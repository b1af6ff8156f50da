"""A metric whose labels come from outside does not grow without end."""

from prometheus_client.openmetrics.parser import text_string_to_metric_families

from souk.telemetry.latencies import Latencies
from souk.telemetry.metrics import counter, exposition, negotiated, process_registry
from souk.telemetry.series import MOST_SERIES, OTHER

OPENMETRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"


def test_what_is_too_much_is_folded_into_one_series_and_counted() -> None:
    registry = process_registry()
    times = Latencies(registry, "souk_test_seconds", "Times.", ("path", "status"))
    counted = counter("souk_tests", "Tests.", ("name",))
    registry.register(counted)
    for number in range(MOST_SERIES + 3):
        times.labels(f"/{number}", "200").observe(0.1)
        counted.labels(f"test {number}").inc()
        counted.labels(name="test 0").inc(0)
    assert registry.get_sample_value("souk_test_seconds_count", {"path": OTHER, "status": OTHER}) == 3
    assert registry.get_sample_value("souk_tests_total", {"name": OTHER}) == 3
    for name in ("souk_test_seconds", "souk_tests_total"):
        assert registry.get_sample_value("souk_metrics_folded_total", {"metric": name}) == 3
    assert exposition(registry).count(b"\nsouk_tests_total{") == MOST_SERIES + 1


def test_a_series_that_is_known_stays_its_own() -> None:
    registry = process_registry()
    times = Latencies(registry, "souk_test_seconds", "Times.", ("path",))
    for number in range(MOST_SERIES + 3):
        times.labels(f"/{number}").observe(0.1)
    times.labels("/7").observe(0.1)
    assert registry.get_sample_value("souk_test_seconds_count", {"path": "/7"}) == 2


def test_exemplars_are_shown_where_they_are_asked_for() -> None:
    registry = process_registry()
    times = Latencies(registry, "souk_test_seconds", "Times.", ("path",))
    times.labels("/").observe(0.003, "a" * 32)
    times.labels("/").observe(0.004, "b" * 32)
    times.labels("/").observe(0.2)
    kind, text = negotiated(registry, OPENMETRICS)
    assert kind.startswith("application/openmetrics-text; version=1.0.0")
    (family,) = (one for one in text_string_to_metric_families(text.decode()) if one.name == "souk_test_seconds")
    shown = {one.labels["le"]: one.exemplar for one in family.samples if one.exemplar}
    assert {bound: (one.labels, one.value) for bound, one in shown.items()} == {
        "0.005": ({"trace_id": "b" * 32}, 0.004)
    }


def test_the_format_is_the_one_that_is_preferred() -> None:
    registry = process_registry()
    for accept in (
        "",
        "*/*",
        "text/html",
        "text/plain",
        "text/plain,application/openmetrics-text;q=0.4",
        OPENMETRICS[:27] + ";q=x",
    ):
        assert negotiated(registry, accept)[0].startswith("text/plain; version=0.0.4"), accept
    for accept in (
        OPENMETRICS,
        "Application/OpenMetrics-Text",
        "text/plain;q=0.3, application/openmetrics-text; q=0.4",
    ):
        assert negotiated(registry, accept)[0].startswith("application/openmetrics-text"), accept
