"""Secrets are sent in every place that a client can write to; no process writes any of them to its log or output."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import httpx

from souk.testing.system import until
from tests.market.api import new_key
from tests.market.shop import PASSWORD, Buyer, Shop

OWN = {"sec-fetch-site": "same-origin"}
CARD = "4242424242424242"
TOKEN, ME, METHODS = "/api/v1/auth/token", "/api/v1/users/me", "/api/v1/payment-methods"
OUTPUT = re.compile(r"\.(log|out)(\.\d+)?$")


def test_no_process_writes_a_secret(shop: Shop) -> None:
    secrets = {"password": f"Pass-{new_key()}", "guess": f"Guess-{new_key()}", "card": CARD}
    buyer = shop.stranger(secrets["password"])
    secrets |= {"access token": buyer.token, "refresh token": buyer.refresh}
    with httpx.Client(base_url=shop.url, timeout=60) as client:
        secrets |= used_as_meant(client, buyer, secrets)
        everywhere(client, {name: text for name, text in secrets.items() if name != "guess"})
        marker = new_key()
        client.get(f"/api/v1/products/{marker}")
        until(lambda: any(marker in text for text in written(shop.data)), 60, "the last request is logged")
    parts = {name: parts_of(text) for name, text in {**secrets, **own_secrets(shop.data)}.items()}
    found = {name for text in written(shop.data) for name, some in parts.items() if any(part in text for part in some)}
    assert found == set()


def used_as_meant(client: httpx.Client, buyer: Buyer, secrets: dict[str, str]) -> dict[str, str]:
    """Uses secrets where they belong, rightly and wrongly; returns those that were made."""
    guess, login = secrets["guess"], {"email": buyer.email, "password": secrets["password"]}
    assert client.post(TOKEN, json={**login, "password": guess}).status_code == 401
    wanted = {"name": "till", "scopes": ["user:read"], "currentPassword": secrets["password"]}
    key = buyer.ok("POST", "/api/v1/api-keys", 201, json=wanted)["key"]
    assert client.get(ME, headers={"x-api-key": key}).status_code == 200
    assert client.get(ME, headers={"x-api-key": key[:-2] + "AA"}).status_code == 401
    assert client.get(ME, headers={"authorization": f"Bearer {buyer.token[:-3]}AAA"}).status_code == 401
    opened = client.post("/session", json=login, headers=OWN)
    assert opened.status_code == 204
    values = [value.partition(";")[0].partition("=")[2] for value in opened.headers.get_list("set-cookie")]
    cookies = {value for value in values if len(value) > 15}
    assert len(cookies) >= 2, "an access token and a refresh token"
    client.cookies.clear()
    assert buyer.post(METHODS, json={"cardToken": CARD}).status_code >= 400
    assert client.post("/api/v1/auth/token:refresh", json={"refreshToken": guess}).status_code >= 400
    return {"API key": key, **{f"cookie {number}": text for number, text in enumerate(sorted(cookies))}}


def everywhere(client: httpx.Client, secrets: dict[str, str]) -> None:
    """Sends secrets where they do not belong: in paths, queries, headers, cookies and bodies, whole and broken."""
    for name, text in secrets.items():
        field = "refresh_token" if name.startswith("cookie") else name.split()[-1]
        named = {"x-secret": text, "cookie": f"{field}={text}", "authorization": f"Basic {text}", "user-agent": text}
        client.get("/api/v1/products", params={field: text, "q": text})
        client.get("/api/v1/products", headers=named)
        client.get("/api/v1/products", headers={"authorization": f"Bearer {text}", "x-api-key": text})
        client.get(f"/api/v1/products/{field}={text}")
        client.post(TOKEN, json={"email": text, "password": text, field: text})
        client.post(TOKEN, content=f'{{"password": "{text}"')
        client.post(TOKEN, content=f"<password>{text}</password>", headers={"content-type": "text/xml"})
        client.post("/shop.user.v1.UserService/CreateToken", json={"password": text, "nothing": text})
        client.put(f"/no/such/path?{field}={text}", headers={"idempotency-key": text, "traceparent": text})
    for name in ("API key", "access token", "refresh token", "card"):
        client.get(f"/api/v1/products/{secrets[name]}")
        client.get(f"/no/such/{secrets[name]}/path")


def written(data: Path) -> Iterator[str]:
    """Gives all that the processes of a system have written, rotated files as well."""
    for path in data.parent.rglob("*"):
        if OUTPUT.search(path.name) and path.is_file():
            yield path.read_text(errors="replace")


def own_secrets(data: Path) -> dict[str, str]:
    """Gives the secrets of the system itself: that of its tokens, and the passwords of its databases."""
    found = {"demo password": "admin-password", "common password": PASSWORD}
    credentials = data / "fleet" / "credentials.json"
    if credentials.exists():
        kept = json.loads(credentials.read_text())
        found |= {f"credential {number}": text for number, text in enumerate(leaves(kept)) if len(text) > 15}
    return found


def leaves(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner)
    elif isinstance(value, str):
        yield value


def parts_of(secret: str) -> list[str]:
    """Gives what must not be found: a signed token's signature, and the secret of an API key or a refresh token."""
    if secret.startswith("eyJ"):
        return [secret, secret.rpartition(".")[2]]
    return [secret, secret[-43:]] if secret.startswith("souk_") else [secret]
