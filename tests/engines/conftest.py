"""The suites are in souk.testing; pytest rewrites their assertions as it does those of tests."""

import pytest

pytest.register_assert_rewrite(
    "souk.testing.brokers.faults_suite",
    "souk.testing.brokers.harness",
    "souk.testing.brokers.suite",
    "souk.testing.engines",
    "souk.testing.registry.engines",
    "souk.testing.registry.harness",
    "souk.testing.registry.suite",
    "souk.testing.registry.lease_suite",
    "souk.testing.registry.away_suite",
    "souk.testing.registry.claims_suite",
    "souk.testing.servers.engine_server",
    "souk.testing.servers.java",
    "souk.testing.servers.kafka",
)
