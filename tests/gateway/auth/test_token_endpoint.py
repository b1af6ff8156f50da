"""`POST /oauth/token`: the client credentials grant, as RFC 6749 has it."""

import hashlib
from base64 import b64encode
from typing import Any
from urllib.parse import urlencode

import pytest
from shop.user.v1 import user_pb2 as pb

from souk.kernel.errors import DomainError

PATH, ME = "/oauth/token", "/api/v1/users/me"
ID = "0123456789abcdef"
KEY = f"souk_{ID}_{'A' * 41}-_"
GRANT = {"grant_type": "client_credentials"}
FORM = ("content-type", "application/x-www-form-urlencoded")


def basic(client: str = ID, secret: str = KEY) -> tuple[str, str]:
    return "authorization", "Basic " + b64encode(f"{client}:{secret}".encode()).decode()


async def ask(world: Any, form: Any, *headers: tuple[str, str]) -> Any:
    body = form if isinstance(form, bytes) else urlencode(form).encode()
    return await world.send("POST", PATH, body, headers=[FORM, *headers])


def given(world: Any, *scopes: str) -> None:
    token = pb.ClientToken(access_token="a.b.c", expires_in=300, scopes=scopes)
    world.services.answer("CreateClientToken", token)


@pytest.mark.parametrize("where", ["header", "form"])
async def test_a_client_gets_a_token(world: Any, where: str) -> None:
    given(world, "order:write", "product:read")
    form = {**GRANT, "scope": "order:write product:read"}
    if where == "form":
        response = await ask(world, {**form, "client_id": ID, "client_secret": KEY})
    else:
        response = await ask(world, form, basic())
    assert response.status == 200
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["content-type"] == "application/json"
    assert response.json == {
        "access_token": "a.b.c",
        "token_type": "Bearer",
        "expires_in": 300,
        "scope": "order:write product:read",
    }
    _, request, context = world.services.last
    assert (request.id, list(request.scopes)) == (ID, ["order:write", "product:read"])
    assert request.digest == hashlib.sha256(KEY.encode()).digest()
    assert context.caller.address == "192.0.2.1"


async def refused(world: Any, status: int, error: str, form: Any, *headers: tuple[str, str]) -> Any:
    response = await ask(world, form, *headers)
    assert (response.status, response.json["error"]) == (status, error), response.body
    assert response.json.keys() == {"error", "error_description"}
    assert (response.headers["cache-control"], response.headers["content-type"]) == ("no-store", "application/json")
    return response


@pytest.mark.parametrize(
    ("status", "error", "form", "headers"),
    [
        (400, "unsupported_grant_type", {"grant_type": "password"}, [basic()]),
        (400, "unsupported_grant_type", {"grant_type": "authorization_code"}, [basic()]),
        (400, "invalid_request", {}, [basic()]),
        (400, "invalid_request", b"grant_type=client_credentials&grant_type=client_credentials", [basic()]),
        (400, "invalid_request", b"&".join([b"a=1"] * 50), [basic()]),
        (400, "invalid_request", b"\xff\xfe", [basic()]),
        (400, "invalid_request", b"grant_type", [basic()]),
        (400, "invalid_request", {**GRANT, "client_id": ID, "client_secret": KEY}, [basic()]),
        (401, "invalid_client", GRANT, []),
        (401, "invalid_client", GRANT, [basic(secret="guess")]),
        (401, "invalid_client", GRANT, [basic(client="fedcba9876543210")]),
        (401, "invalid_client", GRANT, [basic("", "souk__x")]),
        (401, "invalid_client", GRANT, [("authorization", "Basic !")]),
        (401, "invalid_client", GRANT, [("authorization", f"Bearer {KEY}")]),
        (401, "invalid_client", {**GRANT, "client_id": ID}, []),
    ],
    ids=str,
)
async def test_what_is_refused(world: Any, status: int, error: str, form: Any, headers: list[Any]) -> None:
    world.services.refuse("CreateClientToken", DomainError("API_KEY_NOT_FOUND", "the API key does not exist"))
    response = await refused(world, status, error, form, *headers)
    assert ("www-authenticate" in response.headers) is (status == 401)


async def test_a_key_that_is_not_good_and_a_scope_that_it_does_not_have(world: Any) -> None:
    world.services.refuse("CreateClientToken", DomainError("API_KEY_NOT_FOUND", "the API key does not exist"))
    await refused(world, 401, "invalid_client", GRANT, basic())
    world.services.refuse("CreateClientToken", DomainError("SCOPE_NOT_GRANTED", "no such scope"))
    await refused(world, 400, "invalid_scope", {**GRANT, "scope": "order:admin"}, basic())
    sample = {"code": "invalid_client", "why": "API key"}
    assert world.registry.get_sample_value("souk_gateway_refusals_total", sample) == 1


@pytest.mark.parametrize("kind", ["application/json", "text/plain", ""])
async def test_a_body_that_is_no_form(world: Any, kind: str) -> None:
    response = await world.send("POST", PATH, b"{}", headers=[("content-type", kind), basic()])
    assert (response.status, response.json["error"]) == (400, "invalid_request")


async def test_a_form_without_end(world: Any) -> None:
    assert (await ask(world, b"a=" + b"x" * 2_000_000, basic())).status == 413
    assert (await world.send("GET", PATH)).status == 405


async def test_a_clients_token_calls_what_its_scopes_name(world: Any) -> None:
    token = world.token("U-1", client_id=ID, scope="user:read", roles=["admin"])
    assert (await world.send("GET", ME, token=token)).status == 200
    caller = world.services.last[2].caller
    assert (caller.subject, caller.roles, caller.scopes) == ("U-1", frozenset(), {"user:read"})
    assert (await world.send("PATCH", ME, {"name": "M"}, token=token)).status == 403
    assert (await world.send("DELETE", ME, {"currentPassword": "x"}, token=token)).status == 403
    assert (await world.send("GET", ME, token=world.token(client_id=7))).status == 401
    assert (await world.send("GET", ME, token=world.token(client_id=""))).status == 401
