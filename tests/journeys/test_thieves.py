"""Somebody has a token, or guesses: what they do not get, and whom they do not lock out."""

import httpx
import pytest

from tests.market.api import new_key
from tests.market.shop import PASSWORD, Shop

TOKEN, ME = "/api/v1/auth/token", "/api/v1/users/me"
CHANGE = f"{ME}:changePassword"


@pytest.mark.parametrize("proof", [None, PASSWORD, "another password"], ids=["none", "old", "new"])
def test_a_thief_does_not_outlive_a_change_of_password(shop: Shop, proof: str | None) -> None:
    owner = shop.stranger()
    thief = {"authorization": f"Bearer {owner.token}"}
    owner.ok("POST", CHANGE, 204, json={"currentPassword": PASSWORD, "newPassword": "another password"})
    said = {} if proof is None else {"currentPassword": proof}
    for method, path, body in (
        ("PATCH", ME, {"email": f"thief-{new_key()}@souk.test", **said}),
        ("DELETE", ME, said),
        ("POST", CHANGE, {**said, "newPassword": "the thief's own"}),
    ):
        answer = shop.anyone.request(method, path, json=body, headers=thief)
        assert answer.status_code in ((400, 401) if proof is None else (401,)), (method, answer.text)
    token = shop.anyone.ok("POST", TOKEN, json={"email": owner.email, "password": "another password"})
    me = shop.anyone.ok("GET", ME, headers={"authorization": f"Bearer {token['accessToken']}"})
    assert me["email"] == owner.email


def test_a_token_alone_neither_changes_the_email_nor_deletes_the_account(shop: Shop) -> None:
    owner = shop.stranger()
    owner.invalid("currentPassword", "PATCH", ME, json={"email": "thief@souk.test"})
    owner.invalid("currentPassword", "DELETE", ME, json={})
    owner.problem(401, "BAD_CREDENTIALS", "DELETE", ME, json={"currentPassword": "a guess"})
    new = f"new-{new_key()}@souk.test"
    assert owner.ok("PATCH", ME, json={"email": new, "currentPassword": PASSWORD})["email"] == new


def test_a_stranger_who_guesses_does_not_lock_the_owner_out(shop: Shop) -> None:
    owner = shop.stranger()
    with httpx.Client(base_url=shop.url, transport=httpx.HTTPTransport(local_address=shop.other_address)) as stranger:
        guess = {"email": owner.email, "password": "a wrong password"}
        # What he says of his address is not believed.
        said = [{"x-forwarded-for": f"192.0.2.{number}"} for number in range(12)]
        statuses = [stranger.post(TOKEN, json=guess, headers=headers).status_code for headers in said]
        assert statuses == [401] * 10 + [429] * 2
        assert stranger.post(TOKEN, json={**guess, "password": PASSWORD}).status_code == 429
    shop.anyone.ok("POST", TOKEN, json={"email": owner.email, "password": PASSWORD})
