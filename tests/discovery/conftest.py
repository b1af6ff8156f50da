"""Suites live in souk.testing; pytest explains their assertions as it does those of tests."""

import pytest

pytest.register_assert_rewrite(
    "souk.testing.registry.harness",
    "souk.testing.registry.suite",
    "souk.testing.registry.lease_suite",
    "souk.testing.registry.away_suite",
)
