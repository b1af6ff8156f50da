"""The suites are in souk.testing; pytest rewrites their assertions as it does those of tests."""

import pytest

pytest.register_assert_rewrite(
    "souk.testing.registry.harness",
    "souk.testing.registry.suite",
    "souk.testing.registry.lease_suite",
    "souk.testing.registry.away_suite",
)
