"""Suites live in souk.testing; pytest explains their assertions as it does those of tests."""

import pytest

pytest.register_assert_rewrite("souk.testing.rpc_suite", "souk.testing.rpc_end_suite", "souk.testing.rpc_stream_suite")
