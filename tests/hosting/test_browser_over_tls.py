"""A browser at a gateway with TLS: its cookies, kept and sent by a real cookie jar, and what it is told of TLS."""

import ssl
from pathlib import Path

import httpx

from souk.testing.certificates import Authority
from souk.testing.processes import system

OWN = {"sec-fetch-site": "same-origin"}
ACCOUNT = {"email": "mina@example.com", "password": "correct horse battery", "name": "Mina"}
ME = "/api/v1/users/me"


async def test_a_session_over_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    cert, key = authority.issue("localhost")
    trusted = ssl.create_default_context(cafile=authority.ca)
    settings = {"SOUK_HTTP_CERT": str(cert), "SOUK_HTTP_KEY": str(key)}
    async with system(tmp_path / "data", settings=settings) as up:
        url = f"https://localhost:{up.address.rpartition(':')[2].rstrip('/')}"
        async with httpx.AsyncClient(base_url=url, verify=trusted, timeout=60) as browser:
            made = await browser.post("/api/v1/users", json=ACCOUNT)
            assert made.status_code == 201, made.text
            assert made.headers["strict-transport-security"] == "max-age=31536000"
            assert (await browser.get(ME)).status_code == 401
            login = {name: ACCOUNT[name] for name in ("email", "password")}
            assert (await browser.post("/session", json=login, headers=OWN)).status_code == 204
            assert {cookie.name for cookie in browser.cookies.jar if cookie.secure} == {
                "__Host-souk-access",
                "__Host-souk-refresh",
            }
            assert (await browser.get(ME)).json()["name"] == "Mina"
            change = {"name": "Mallory"}
            foreign = {"origin": "https://evil.example"}
            assert (await browser.patch(ME, json=change, headers=foreign)).status_code == 403
            own = {"origin": url}
            assert (await browser.patch(ME, json=change, headers=own)).status_code == 200
            assert (await browser.post("/session:refresh", headers=OWN)).status_code == 204
            assert (await browser.delete("/session", headers=OWN)).status_code == 204
            assert list(browser.cookies.jar) == []
            assert (await browser.get(ME)).status_code == 401
