"""Rate limits of a fleet with two gateways, as a client sees them: together they keep to one limit."""

from collections import Counter
from pathlib import Path

import httpx
import pytest

from souk.testing.system import fleet

pytestmark = [pytest.mark.full, pytest.mark.xdist_group("limits")]

FEW = "[reads]\ncount = 40\nwindow = 36000\n"
REQUESTS = 120


def _answers(url: str) -> Counter[int]:
    """Gives the statuses of many requests, each on a connection of its own, so that both gateways get some."""
    found: Counter[int] = Counter()
    for _ in range(REQUESTS):
        with httpx.Client(base_url=url, timeout=60.0) as client:
            found[client.get("/api/v1/products").status_code] += 1
    return found


@pytest.mark.parametrize(
    ("mode", "admitted"), [("enforce", 40), ("report", REQUESTS), ("off", REQUESTS)], ids=lambda value: str(value)
)
def test_two_gateways_keep_to_one_limit(tmp_path: Path, mode: str, admitted: int) -> None:
    policies = tmp_path / "limits.toml"
    policies.write_text(FEW)
    policies.chmod(0o644)
    settings = {"SOUK_LIMITS": mode, "SOUK_LIMIT_POLICIES": str(policies), "SOUK_BROKER": "none"}
    arguments = ("--scale", "gateway=2")
    with fleet(tmp_path / "fleet", settings=settings, arguments=arguments) as system:
        found = _answers(system.url)
        assert found[200] == admitted, system.output()
        assert found[429] == REQUESTS - admitted
