"""`souk up` believes the tokens of another issuer that its settings name, as a client from outside sees it."""

import time
from pathlib import Path

import httpx

from souk.testing.processes import run, system
from tests.gateway.auth.provider import provider


async def test_tokens_of_another_issuer_open_the_api(tmp_path: Path) -> None:
    issuers = tmp_path / "issuers.toml"
    with provider(int(time.time())) as staff:
        issuers.write_text(f'[staff]\nissuer = "{staff.url}"\naudience = "souk"\n')
        async with (
            system(tmp_path / "data", settings={"SOUK_ISSUERS": str(issuers)}) as up,
            httpx.AsyncClient(base_url=up.address, timeout=60) as client,
        ):
            for token, status in (
                (staff.token(), 200),
                (staff.token("ES256"), 401),
                (staff.token(aud="x"), 401),
                (staff.token(sub=""), 401),
            ):
                answer = await client.get("/api/v1/addresses", headers={"authorization": f"Bearer {token}"})
                assert answer.status_code == status, answer.text
    assert any(path.endswith("/certs") for path in staff.asked)


async def test_a_wrong_file_of_issuers_stops_the_start_in_a_line(tmp_path: Path) -> None:
    issuers = tmp_path / "issuers.toml"
    issuers.write_text('[staff]\nissuer = "http://login.example.com"\naudience = "souk"\n')
    for command in ("up",), ("serve", "gateway"):
        data = str(tmp_path / command[-1])
        ended = await run(*command, "--port", "0", "--data", data, settings={"SOUK_ISSUERS": str(issuers)})
        assert ended.status == 1
        assert "SOUK_ISSUERS: " in ended.err.splitlines()[-1]
