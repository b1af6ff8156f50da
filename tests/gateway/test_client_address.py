"""Where a client is: never what it says of itself."""

from ipaddress import ip_network
from typing import Any

import pytest

from souk.gateway.http.client_address import client_address

PROXIES = (ip_network("10.0.0.0/8"), ip_network("2001:db8::/32"))


@pytest.mark.parametrize(
    ("peer", "headers", "address"),
    [
        ("203.0.113.9", ["1.1.1.1"], "203.0.113.9"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", ["6.6.6.6, 198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", ["6.6.6.6, 198.51.100.7, 10.0.0.2"], "198.51.100.7"),
        ("10.0.0.1", ["6.6.6.6", "198.51.100.7", "10.0.0.2"], "198.51.100.7"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", ["198.51.100.7, nonsense"], "10.0.0.1"),
        ("10.0.0.1", ["nonsense, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("::ffff:10.0.0.1", ["198.51.100.7"], "198.51.100.7"),
        ("2001:db8::1", ["2a00::5"], "2a00::5"),
        ("", ["198.51.100.7"], ""),
    ],
)
def test_only_trusted_proxies_are_believed(peer: str, headers: list[str], address: str) -> None:
    scope = {"client": (peer, 5) if peer else None, "headers": [(b"x-forwarded-for", h.encode()) for h in headers]}
    assert client_address(scope, PROXIES) == address


def test_nobody_is_trusted_unless_said() -> None:
    scope = {"client": ("127.0.0.1", 5), "headers": [(b"x-forwarded-for", b"6.6.6.6")]}
    assert client_address(scope, ()) == "127.0.0.1"


async def test_services_are_told_by_the_gateway_and_by_nobody_else(world: Any) -> None:
    told = [("x-forwarded-for", "6.6.6.6"), ("souk-caller", "made up"), ("souk-client", "6.6.6.6")]
    await world.send("GET", "/api/v1/users/me", token=world.token(sid="RTF-1"), headers=told)
    caller = world.services.last[2].caller
    assert (caller.session, caller.address) == ("RTF-1", "192.0.2.1")
    await world.send("POST", "/api/v1/auth/token", {"email": "a@b.c", "password": "p"}, headers=told)
    assert world.services.last[2].caller.address == "192.0.2.1"
