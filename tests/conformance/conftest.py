"""The suites are in souk.testing; pytest rewrites their assertions as it does those of tests."""

import pytest

pytest.register_assert_rewrite("souk.testing.rpc.suite", "souk.testing.rpc.end_suite", "souk.testing.rpc.stream_suite")
