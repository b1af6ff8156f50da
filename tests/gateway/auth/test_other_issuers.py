"""Tokens of other issuers, found by OpenID Connect Discovery from a provider that speaks real HTTP."""

import base64
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from joserfc.jwk import RSAKey

from souk.gateway.settings import GatewaySettings, IssuerSettings
from souk.http1.client import HttpClient
from souk.kernel.clock import MICROSECONDS
from souk.testing.clocks import FakeClock
from tests.gateway.auth.provider import CLIENT, KEYS, SECRET, Provider, provider

ME, PRODUCT = "/api/v1/users/me", "/api/v1/products/P-1"
NOW = FakeClock().now() // MICROSECONDS
CONFIGURATION = "/realms/staff/.well-known/openid-configuration"
CERTS = "/realms/staff/certs"
TOKEN_BYTES = 300 * 1024


@dataclass
class Both:
    """A gateway, and the provider whose tokens it believes."""

    world: Any
    provider: Provider

    async def ask(self, token: str, method: str = "GET", target: str = ME) -> Any:
        return await self.world.send(method, target, token=token)


@pytest.fixture
def running() -> Iterator[Provider]:
    with provider(NOW) as made:
        yield made


def trusted(one: Provider, **more: Any) -> GatewaySettings:
    settings = {"algorithms": ("RS256", "ES256", "PS256", "EdDSA"), **more}
    return GatewaySettings(issuers=(IssuerSettings("staff", one.url, "souk", **settings),), issuer_timeout=5.0)


@pytest.fixture
async def both(world_of: Any, running: Provider) -> AsyncIterator[Both]:
    settings = trusted(running, roles_claim="realm_access.roles", roles={"shop-admins": "admin"}, scope_claim="scope")
    async with world_of(settings) as world:
        yield Both(world, running)


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "PS256", "EdDSA"])
async def test_a_token_of_the_other_issuer_is_believed(both: Both, algorithm: str) -> None:
    response = await both.ask(both.provider.token(algorithm, scope="orders profile"))
    assert response.status == 200, response.body
    caller = both.world.services.last[2].caller
    assert (caller.subject, caller.roles, caller.scopes) == ("staff|U-demo", frozenset(), {"orders", "profile"})
    assert both.provider.asked == [CONFIGURATION, CERTS]


async def test_a_token_that_the_provider_gave_for_client_credentials(both: Both) -> None:
    client = HttpClient(f"http://127.0.0.1:{both.provider.port}", 30)
    basic = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
    headers = {"authorization": f"Basic {basic}", "content-type": "application/x-www-form-urlencoded"}
    form = b"grant_type=client_credentials&scope=orders"
    status, body = await client.request("POST", "/realms/staff/token", form, headers)
    await client.close()
    assert status == 200
    assert (await both.ask(json.loads(body)["access_token"])).status == 200
    assert both.world.services.last[2].caller.subject == f"staff|{CLIENT}"


async def test_subjects_of_two_issuers_never_meet(both: Both) -> None:
    assert (await both.ask(both.world.token("U-demo"))).status == 200
    own = both.world.services.last[2].caller.subject
    assert (await both.ask(both.provider.token(sub="U-demo"))).status == 200
    assert (own, both.world.services.last[2].caller.subject) == ("U-demo", "staff|U-demo")
    both.world.services.asked.clear()
    assert (await both.ask(both.world.token("staff|U-demo"))).status == 401


async def test_roles_are_what_the_settings_make_of_a_claim_and_are_not_asked_for(both: Both) -> None:
    for roles, status in (["shop-admins", "x"], 204), (["admin"], 403), ("shop-admins", 204), ({"a": 1}, 403):
        token = both.provider.token(realm_access={"roles": roles}, roles=["admin"])
        assert (await both.ask(token, "DELETE", PRODUCT)).status == status
    assert (await both.ask(both.provider.token(realm_access=7), "DELETE", PRODUCT)).status == 403
    assert both.world.services.count("GetRoles") == 0


async def test_each_issuer_speaks_for_itself_alone(both: Both) -> None:
    key = KEYS["ES256"]
    assert (await both.ask(both.world.token(key=key))).status == 401  # ours, by a key of the other
    assert (await both.ask(both.provider.token("ES256", both.world.key))).status == 401  # the other's, by a key of ours
    assert (await both.ask(both.provider.token(iss="https://third.test"))).status == 401
    assert (await both.ask(both.provider.token(aud="another"))).status == 401
    assert (await both.ask(both.provider.token(exp=NOW))).status == 401


async def test_an_algorithm_that_is_not_allowed(world_of: Any, running: Provider) -> None:
    async with world_of(trusted(running, algorithms=("ES256",))) as world:
        assert (await world.send("GET", ME, token=running.token("RS256"))).status == 401
        assert (await world.send("GET", ME, token=running.token("ES256"))).status == 200


async def test_an_issuer_that_is_away_stops_nobody_else_and_is_found_when_it_is_back(world_of: Any) -> None:
    with provider(NOW) as made:
        port, settings, token = made.port, trusted(made), made.token(exp=NOW + 10_000)
    async with world_of(settings) as world:
        refused = await world.send("GET", ME, token=token)
        assert (refused.status, refused.json["code"]) == (503, "ISSUER_UNAVAILABLE")
        assert (await world.send("GET", ME, token=world.token())).status == 200
        with provider(NOW, port):
            world.clock.advance(settings.jwks_retry)
            assert (await world.send("GET", ME, token=token)).status == 200
        world.clock.advance(settings.issuer_jwks_age)
        assert (await world.send("GET", ME, token=token)).status == 200


async def test_keys_that_the_issuer_changed(both: Both) -> None:
    old, new = both.provider.token(), RSAKey.generate_key(2_048, parameters={"kid": "rsa-2"})
    assert (await both.ask(old)).status == 200
    both.provider.keys = [new]
    both.world.clock.advance(GatewaySettings().jwks_refetch)
    assert (await both.ask(both.provider.token(key=new))).status == 200
    assert (await both.ask(old)).status == 401


@pytest.mark.parametrize(
    "changed",
    [
        {"issuer": "https://evil.test"},
        {"issuer": None},
        {"jwks_uri": "https://evil.test/certs"},
        {"jwks_uri": "http://169.254.169.254/latest/meta-data/"},
        {"jwks_uri": "http://127.0.0.1:1/certs"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": "unix:/run/souk.sock"},
        {"jwks_uri": "//evil.test/certs"},
        {"jwks_uri": "/certs"},
        {"jwks_uri": ["https://evil.test"]},
        {"jwks_uri": None},
    ],
    ids=str,
)
async def test_what_an_issuer_says_leads_nowhere_else(both: Both, changed: dict[str, Any]) -> None:
    both.provider.changed = changed
    response = await both.ask(both.provider.token())
    assert (response.status, response.json["code"]) == (503, "ISSUER_UNAVAILABLE")
    assert both.provider.asked == [CONFIGURATION]


@pytest.mark.parametrize("host", ["user@127.0.0.1", "127.0.0.1"])
async def test_an_address_with_more_than_host_port_and_path(both: Both, host: str) -> None:
    both.provider.changed = {"jwks_uri": f"http://{host}:{both.provider.port}/realms/staff/certs?next=1#x"}
    assert (await both.ask(both.provider.token())).status == 503


@pytest.mark.parametrize(
    "answer",
    [
        (302, {"location": "https://evil.test/certs"}, b""),
        (307, {"location": "/realms/staff/elsewhere"}, b""),
        (500, {}, b"{}"),
        (200, {}, b""),
        (200, {}, b"<html>"),
        (200, {}, b"[]"),
        (200, {}, b'{"keys":7}'),
        (200, {}, b'{"keys":["x"]}'),
        (200, {}, b'{"keys":[],"x":"' + b"x" * TOKEN_BYTES + b'"}'),
        (200, {}, b"[" * 100_000),
    ],
    ids=lambda answer: f"{answer[0]}-{answer[2][:12]!r}",
)
@pytest.mark.parametrize("path", [CONFIGURATION, CERTS])
async def test_an_issuer_that_answers_nonsense(
    both: Both, path: str, answer: tuple[int, dict[str, str], bytes]
) -> None:
    both.provider.answers[path] = answer
    response = await both.ask(both.provider.token())
    assert (response.status, response.json["code"]) == (503, "ISSUER_UNAVAILABLE")
    assert "realms/staff/elsewhere" not in " ".join(both.provider.asked)


async def test_forged_tokens_cause_one_request_in_a_while(both: Both) -> None:
    assert (await both.ask(both.provider.token())).status == 200
    both.world.clock.advance(GatewaySettings().jwks_refetch)
    for number in range(20):
        forger = RSAKey.import_key(KEYS["RS256"].as_dict(private=True), {"kid": f"forged-{number}"})
        assert (await both.ask(both.provider.token(key=forger))).status == 401
    assert both.provider.asked.count(CERTS) == 2
