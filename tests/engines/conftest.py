"""Suites live in souk.testing; pytest explains their assertions as it does those of tests."""

import pytest

pytest.register_assert_rewrite(
    "souk.testing.engines",
    "souk.testing.registry_engines",
    "souk.testing.registry_harness",
    "souk.testing.registry_suite",
    "souk.testing.registry_lease_suite",
    "souk.testing.registry_away_suite",
    "souk.testing.registry_claims_suite",
)
