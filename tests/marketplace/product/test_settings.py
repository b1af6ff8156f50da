"""What can be set for Product."""

import pytest

from marketplace.product.settings import read_settings
from souk.kernel.errors import ConfigurationError


def test_the_size_of_the_cache_is_in_megabytes() -> None:
    assert read_settings({}).cache.octets == 32_000_000
    assert read_settings({"cache_mb": "5"}).cache.octets == 5_000_000


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "many", "", "4001", "1" * 400, "1" * 5_000, "٣", "+1", " 1"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="cache_mb must be megabytes"):
        read_settings({"cache_mb": text})
