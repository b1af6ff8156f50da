from souk.telemetry import metrics


def test_a_gauge_is_read_when_somebody_asks() -> None:
    registry = metrics.process_registry()
    waiting = {"order": 3}
    metrics.measure(
        registry, "souk_waiting", "Waiting.", ("service",), lambda: [({"service": k}, v) for k, v in waiting.items()]
    )
    waiting["order"] = 5
    assert b'souk_waiting{service="order"} 5.0' in metrics.exposition(registry)


def test_two_registries_do_not_meet() -> None:
    for _ in range(2):
        metrics.measure(metrics.process_registry(), "souk_waiting", "Waiting.", (), lambda: [({}, 1)])
