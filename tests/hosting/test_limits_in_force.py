"""Rate limits as a client sees them, at systems that really run: enforced, reported and off."""

from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest

from souk.testing.processes import PATIENCE, system

FEW = """
[reads]
count = 5
window = 3600
[account]
count = 3
window = 3600
"""
LOGIN = {"email": "a@souk.test", "password": "any-password"}


def settings(folder: Path, tiny: Mapping[str, str], mode: str | None) -> dict[str, str]:
    few = folder / "limits.toml"
    few.write_text(FEW)
    chosen = {} if mode is None else {"SOUK_LIMITS": mode}
    return {**tiny, **chosen, "SOUK_LIMIT_POLICIES": str(few)}


async def statuses(url: str, times: int) -> tuple[list[int], list[int]]:
    async with httpx.AsyncClient(base_url=url, timeout=PATIENCE) as client:
        keys = [(await client.get("/.well-known/jwks.json")).status_code for _ in range(times)]
        logins = [(await client.post("/api/v1/auth/token", json=LOGIN)).status_code for _ in range(times)]
    return keys, logins


@pytest.mark.parametrize(("demo", "mode"), [([], None), (["--demo"], "enforce")])
async def test_enforced_limits_refuse(
    tmp_path: Path, tiny: Mapping[str, str], demo: list[str], mode: str | None
) -> None:
    async with system(tmp_path / "data", *demo, settings=settings(tmp_path, tiny, mode)) as up:
        keys, logins = await statuses(up.address, 8)
        assert keys == [200] * 5 + [429] * 3
        assert logins == [200] * 3 + [429] * 5
        async with httpx.AsyncClient(base_url=up.address, timeout=PATIENCE) as client:
            assert (await client.get("/healthz")).status_code == 200
            refused = await client.get("/.well-known/jwks.json")
    assert refused.headers["ratelimit-policy"] == '"reads";q=5;w=3600'
    assert refused.headers["ratelimit"] == f'"reads";r=0;t={refused.headers["retry-after"]}'
    assert 0 < int(refused.headers["retry-after"]) <= 720


@pytest.mark.parametrize(("demo", "mode"), [(["--demo"], None), ([], "report"), ([], "off")])
async def test_limits_that_report_or_are_off_refuse_nobody(
    tmp_path: Path, tiny: Mapping[str, str], demo: list[str], mode: str | None
) -> None:
    async with system(tmp_path / "data", *demo, settings=settings(tmp_path, tiny, mode)) as up:
        assert await statuses(up.address, 8) == ([200] * 8, [200] * 8)
        if demo:
            async with httpx.AsyncClient(base_url=up.address, timeout=PATIENCE) as client:
                shown = (await client.get("/metrics")).text
            assert 'souk_gateway_rate_limited_total{outcome="reported",policy="reads"} 3.0' in shown
            assert 'souk_gateway_rate_limited_total{outcome="reported",policy="account"} 5.0' in shown


async def test_a_wrong_file_keeps_the_system_from_starting(tmp_path: Path, tiny: Mapping[str, str]) -> None:
    given = settings(tmp_path, tiny, None)
    (tmp_path / "limits.toml").write_text("[reads]\ncuont = 5\n")
    with pytest.raises(AssertionError, match=r"reads\.cuont: a policy has no 'cuont'; the nearest is 'count'"):
        async with system(tmp_path / "data", settings=given):
            pass
