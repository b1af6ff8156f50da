"""Certificates of clients as callers: what of one names whom, what that caller may do, and who is refused."""

import datetime
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from shop.user.v1 import user_pb2 as pb

from souk.gateway.settings import CertificateCaller, GatewaySettings
from souk.kernel.clock import MICROSECONDS
from souk.kernel.errors import ConfigurationError
from souk.runtime.config.certificate_callers import read_certificate_callers
from souk.runtime.config.environment import read
from souk.testing.certificates import Authority

ME, ORDERS = "/api/v1/users/me", "/api/v1/orders"
ROBOT = "spiffe://shop.test/robot"
CALLERS = (
    CertificateCaller("robot", ("order:read",), san_uri=ROBOT),
    CertificateCaller("billing", ("order:read", "user:read"), san_dns="Billing.shop.test", user="U-7"),
    CertificateCaller("old", ("order:read",), subject_dn="CN=old.shop.test"),
)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@asynccontextmanager
async def _calling(
    world_of: Any, certificate: Path | None, callers: tuple[CertificateCaller, ...] = CALLERS
) -> AsyncIterator[Any]:
    """Gives a world whose clients connect with a certificate, at the time of the certificate."""
    async with world_of(GatewaySettings(certificates=callers)) as world:
        extensions: dict[str, Any] = {}
        if certificate is not None:
            pem = certificate.read_text()
            read_back = x509.load_pem_x509_certificate(pem.encode())
            extensions["tls"] = {"client_cert_name": read_back.subject.rfc4514_string(), "client_cert_chain": [pem]}
            world.clock.advance(read_back.not_valid_before_utc.timestamp() - world.clock.now() / MICROSECONDS)
        gateway = world.gateway

        async def served(scope: Any, receive: Any, send: Any) -> None:
            await gateway({**scope, "extensions": extensions}, receive, send)

        world.client.app = served
        yield world


@pytest.mark.parametrize(
    ("name", "uri", "subject"),
    [
        ("a machine", ROBOT, "certificate|robot"),
        ("billing.SHOP.test", "", "U-7"),
        ("old.shop.test", "", "certificate|old"),
    ],
)
async def test_a_certificate_is_the_caller_that_it_names(
    world_of: Any, authority: Authority, name: str, uri: str, subject: str
) -> None:
    async with _calling(world_of, authority.issue(name, uri=uri)[0]) as world:
        assert (await world.send("GET", ORDERS)).status == 200
        caller = world.services.last[2].caller
        assert (caller.subject, caller.roles) == (subject, frozenset())
        assert "order:read" in caller.scopes
        assert (await world.send("GET", ME)).status == (200 if subject == "U-7" else 403)
        assert (await world.send("POST", ORDERS, {})).status == 403
        assert "GetRoles" not in {one for one, _, _ in world.services.asked}


@pytest.mark.parametrize(
    ("name", "uri", "says"),
    [
        ("a stranger", "", "names no caller"),
        ("a stranger", "spiffe://shop.test/robots", "names no caller"),
        ("billing.shop.test", ROBOT, "names several callers"),
    ],
)
async def test_others_are_refused_and_audited(
    world_of: Any, authority: Authority, name: str, uri: str, says: str
) -> None:
    async with _calling(world_of, authority.issue(name, uri=uri)[0]) as world:
        refused = await world.send("GET", ORDERS)
        assert (refused.status, says in refused.json["detail"]) == (401, True)
        assert world.services.asked == []
        labels = {"code": "UNAUTHENTICATED", "why": "client certificate"}
        assert world.registry.get_sample_value("souk_gateway_refusals_total", labels) == 1
        assert (await world.send("GET", "/api/v1/products")).status == 200  # anyone may


async def test_one_that_expires_while_its_connection_lives_is_refused(world_of: Any, authority: Authority) -> None:
    async with _calling(world_of, authority.issue("a machine", uri=ROBOT)[0]) as world:
        assert (await world.send("GET", ORDERS)).status == 200
        world.clock.advance(datetime.timedelta(days=2).total_seconds())
        refused = await world.send("GET", ORDERS)
        assert (refused.status, "has expired" in refused.json["detail"]) == (401, True)


async def test_other_credentials_come_before_it(world_of: Any, authority: Authority) -> None:
    async with _calling(world_of, authority.issue("a machine", uri=ROBOT)[0]) as world:
        assert (await world.send("GET", ME, token=world.token("U-demo"))).status == 200
        assert world.services.last[2].caller.subject == "U-demo"
        wrong = await world.send("GET", ORDERS, headers=[("authorization", "Bearer x.y.z")])
        assert wrong.status == 401


async def test_no_other_site_makes_a_browser_use_one(world_of: Any, authority: Authority) -> None:
    writer = CertificateCaller("writer", ("user:write",), san_uri=ROBOT)
    async with _calling(world_of, authority.issue("a machine", uri=ROBOT)[0], (writer,)) as world:
        change: Callable[..., Any] = lambda *more: world.send("PATCH", ME, {"name": "M"}, headers=list(more))  # noqa: E731
        world.services.answer("UpdateMe", pb.User())
        assert (await change()).status == 200
        for header in (("origin", "https://evil.test"), ("sec-fetch-site", "cross-site")):
            refused = await change(header)
            assert (refused.status, refused.json["code"]) == (403, "CROSS_SITE")
        assert (await change(("sec-fetch-site", "same-origin"))).status == 200


async def test_without_a_certificate_nothing_changes(world_of: Any) -> None:
    async with _calling(world_of, None) as world:
        refused = await world.send("GET", ORDERS)
        assert (refused.status, "certificate" in refused.json["detail"]) == (401, False)


WRONG = {
    "robot = 1": "robot must be a table",
    "[Robot]\nsan_dns='a'\nscopes=['order:read']": "the name 'Robot' must be of small letters",
    "[robot]\nsan_dns='a'": "robot has no scopes",
    "[robot]\nscopes=['order:read']": "robot must have one of san_uri, san_dns, subject_dn",
    "[robot]\nsan_dns='a'\nsan_uri='b:c'\nscopes=['order:read']": "robot must have one of",
    "[robot]\nsan_dn='a'\nscopes=['order:read']": "robot.san_dn is unknown; the nearest is 'san_dns'",
    "[robot]\nsan_dns='a'\nscopes='order:read'": "robot.scopes must be a list of texts",
    "[robot]\nsubject_dn='robot'\nscopes=['order:read']": "robot.subject_dn is no subject as in RFC 4514",
    "[a]\nsan_dns='X.y'\nscopes=['s']\n[b]\nsan_dns='x.Y'\nscopes=['s']": "a and b have the same san_dns",
    "[": "cannot be read",
}


@pytest.mark.parametrize("content", WRONG)
def test_a_wrong_file_is_said_in_one_line(tmp_path: Path, content: str) -> None:
    path = tmp_path / "callers.toml"
    path.write_text(content)
    with pytest.raises(ConfigurationError) as refused:
        read_certificate_callers(path)
    assert str(refused.value).startswith(f"SOUK_HTTP_CLIENT_CALLERS: {path}")
    assert WRONG[content] in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_right_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "callers.toml"
    path.write_text("[old]\nsubject_dn='CN=old,O=Shop'\nscopes=['order:read', 'a.b']\nuser='U-1'\n")
    expected = CertificateCaller("old", ("order:read", "a.b"), subject_dn="CN=old,O=Shop", user="U-1")
    assert read_certificate_callers(path) == (expected,)
    assert read_certificate_callers(None) is None


def test_it_needs_authorities() -> None:
    with pytest.raises(ConfigurationError, match="SOUK_HTTP_CLIENT_CALLERS needs SOUK_HTTP_CLIENT_CA"):
        _ = read({"SOUK_HTTP_CLIENT_CALLERS": "callers.toml"}).http.certificate
