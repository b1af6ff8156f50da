"""What tests of the search engines share."""

import pytest

from marketplace.product.adapters.search import engine


@pytest.fixture
def patient_searches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has a search of the test's own process wait for as long as a slow machine takes.

    That the limit of half a second is in force is tested from outside, in `test_system`.
    """
    monkeypatch.setattr(engine, "SEARCH_TIMEOUT", 60.0)
