"""A system of one service, which is found as an installed one would be: by its entry point."""

from collections.abc import Mapping
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def tiny() -> Mapping[str, str]:
    """Settings with which `souk` finds the tiny app."""
    return {"PYTHONPATH": str(Path(__file__).parent / "tiny"), "SOUK_APP": "tiny"}
