"""The audit log: who was refused what and why, without credentials, and without filling the disk."""

import io
import json
from typing import Any

from shop.user.v1 import user_pb2 as pb

from souk.gateway.auth.audit import BURST, RECORDS_A_SECOND
from souk.kernel.errors import DomainError

ME, PRODUCT = "/api/v1/users/me", "/api/v1/products/P-1"
KEY = f"souk_{'0' * 16}_{'A' * 43}"


def records(written: io.StringIO) -> list[dict[str, Any]]:
    found = (json.loads(line) for line in written.getvalue().splitlines())
    return [record for record in found if record.get("part") == "audit"]


def count(world: Any, code: str, why: str) -> float:
    return float(world.registry.get_sample_value("souk_gateway_refusals_total", {"code": code, "why": why}) or 0)


async def test_a_refusal_says_who_from_where_what_and_why(world: Any, written: io.StringIO) -> None:
    world.services.answer("GetRoles", pb.Roles(roles=["customer"]))
    response = await world.send("DELETE", PRODUCT, token=world.token("U-7"))
    (record,) = records(written)
    assert response.status == record["status"] == 403
    assert {name: record[name] for name in ("event", "code", "why", "caller", "address", "method", "path")} == {
        "event": "refused",
        "code": "FORBIDDEN",
        "why": "role",
        "caller": "U-7",
        "address": "192.0.2.1",
        "method": "DELETE",
        "path": PRODUCT,
    }
    assert (record["route"], record["request_id"]) == ("/api/v1/products/{id}", response.headers["x-request-id"])
    assert count(world, "FORBIDDEN", "role") == 1


async def test_each_check_has_its_name_and_only_the_log_says_it(world: Any, written: io.StringIO, new_key: Any) -> None:
    world.services.refuse("AuthenticateApiKey", DomainError("API_KEY_NOT_FOUND", "no"))
    first, payload, _ = world.token().split(".")
    sent = {
        "no credentials": "",
        "form": "nonsense",
        "type": world.token(header={"typ": "dpop+jwt"}),
        "issuer or audience": world.token(iss="https://else.test"),
        "key": world.token(key=new_key("key-9")),
        "signature": f"{first}.{payload}.{'A' * 86}",
        "subject": world.token(sub="U\n"),
        "time": world.token(exp="soon"),
        "expired": world.token(exp=1),
        "API key": KEY,
    }
    for why, token in sent.items():
        response = await world.send("GET", ME, token=token)
        assert response.status == 401
        if why not in ("no credentials", "expired", "API key"):
            assert response.json["detail"] == "the token is not valid"
        assert count(world, "UNAUTHENTICATED", why) == 1
    assert [record["why"] for record in records(written)] == list(sent)
    assert records(written)[-1]["caller"] == f"API key {'0' * 16}"


async def test_no_credential_is_written(world: Any, written: io.StringIO) -> None:
    world.services.refuse("AuthenticateApiKey", DomainError("API_KEY_NOT_FOUND", "no"))
    token = world.token(iss="https://else.test")
    await world.send("GET", ME, token=token)
    await world.send("GET", ME, headers=[("X-API-Key", KEY)])
    await world.send("GET", f"{ME}?token={token}", token=token)
    assert len(records(written)) == 3
    assert "A" * 43 not in written.getvalue()
    assert token.split(".")[1] not in written.getvalue()
    assert token.split(".")[2] not in written.getvalue()


async def test_a_wrong_password_is_a_refusal(world: Any, written: io.StringIO) -> None:
    world.services.refuse("CreateToken", DomainError("BAD_CREDENTIALS", "email or password is wrong"))
    response = await world.send("POST", "/api/v1/auth/token", {"email": "a@b.test", "password": "a guess"})
    assert response.status == 401
    assert [record["code"] for record in records(written)] == ["BAD_CREDENTIALS"]
    assert "a guess" not in written.getvalue()


async def test_a_flood_fills_no_disk_and_is_counted(world: Any, written: io.StringIO) -> None:
    start = world.clock.monotonic()
    world.clock.monotonic = lambda: start  # the flood takes no time
    flood = int(BURST) * 3
    for _ in range(flood):
        await world.send("GET", ME)
    assert len(records(written)) <= BURST
    assert count(world, "UNAUTHENTICATED", "no credentials") == flood
    world.clock.monotonic = lambda: start + 1
    for _ in range(int(RECORDS_A_SECOND) + 5):
        await world.send("GET", ME)
    assert len(records(written)) <= BURST + RECORDS_A_SECOND + 1
    assert max(record.get("left_out", 0) for record in records(written)) >= flood - BURST


async def test_a_refusal_over_rpc_is_one_as_well(world: Any, written: io.StringIO) -> None:
    response = await world.send("POST", "/shop.user.v1.UserService/GetMe", b"{}", token="nonsense")
    assert response.status == 401
    (record,) = records(written)
    assert (record["why"], record["route"]) == ("form", "/shop.user.v1.UserService/GetMe")


async def test_what_is_allowed_or_wrong_otherwise_is_no_refusal(world: Any, written: io.StringIO) -> None:
    await world.send("GET", ME, token=world.token())
    await world.send("GET", "/nowhere")
    await world.send("POST", "/api/v1/orders", b"{", token=world.token())
    assert records(written) == []
