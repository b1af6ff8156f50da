"""Rate limits of a fleet with two gateways, as a client sees them: together they keep to one limit."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest

from souk.testing.system import fleet

pytestmark = [pytest.mark.full, pytest.mark.xdist_group("limits")]

FEW = "[reads]\ncount = 40\nwindow = 36000\n"
REQUESTS = 120
FORGOTTEN = 10
"""Requests that a gateway may have taken ahead, and forgotten because Redis or the gateway stood still for 0.3 s."""


def _answers(url: str) -> Counter[int]:
    """Gives the statuses of many requests, each on a connection of its own, so that both gateways get some."""
    found: Counter[int] = Counter()
    for _ in range(REQUESTS):
        with httpx.Client(base_url=url, timeout=60.0) as client:
            found[client.get("/api/v1/products").status_code] += 1
    return found


@pytest.mark.parametrize(
    ("mode", "admitted"),
    [("enforce", range(40 - FORGOTTEN, 41)), ("report", [REQUESTS]), ("off", [REQUESTS])],
    ids=["enforce", "report", "off"],
)
def test_two_gateways_keep_to_one_limit(tmp_path: Path, mode: str, admitted: Sequence[int]) -> None:
    policies = tmp_path / "limits.toml"
    policies.write_text(FEW)
    policies.chmod(0o644)
    settings = {"SOUK_LIMITS": mode, "SOUK_LIMIT_POLICIES": str(policies), "SOUK_BROKER": "none"}
    arguments = ("--scale", "gateway=2")
    with fleet(tmp_path / "fleet", settings=settings, arguments=arguments) as system:
        found = _answers(system.url)
        assert found[200] in admitted, system.output()
        assert found[429] == REQUESTS - found[200]
