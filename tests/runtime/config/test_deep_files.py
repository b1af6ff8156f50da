"""A file of settings that is nested without end is refused in one line, like any other that is wrong."""

from collections.abc import Callable
from pathlib import Path

import pytest

from souk.gateway.limits.policies_file import read_policies
from souk.kernel.errors import ConfigurationError
from souk.runtime.config.issuers import read_issuers
from souk.runtime.config.resilience import read_resilience


@pytest.mark.parametrize(
    "read", [lambda path: read_policies(path, "SOUK_LIMIT_POLICIES"), read_issuers, read_resilience]
)
def test_a_file_that_is_nested_without_end_is_refused_in_one_line(
    tmp_path: Path, read: Callable[[Path], object]
) -> None:
    path = tmp_path / "deep.toml"
    path.write_text("a = " + "[" * 100_000)
    with pytest.raises(ConfigurationError) as raised:
        read(path)
    assert "recursion" in str(raised.value)
    assert "\n" not in str(raised.value)
