"""The console from outside, in every mode: who gets in, what its pages may do, what they say when a read fails."""

import re
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from souk.testing.system import SUPERVISED, until
from tests.market.console_browser import OWN, ConsoleBrowser
from tests.market.shop import Shop

POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self'",
    "connect-src": "'self'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
    "base-uri": "'none'",
}


@pytest.fixture
def browser(shop: Shop) -> Iterator[ConsoleBrowser]:
    with ConsoleBrowser(shop.url) as browser:
        yield browser


@pytest.fixture
def admin(browser: ConsoleBrowser) -> ConsoleBrowser:
    answer = browser.log_in()
    assert (answer.status_code, answer.headers["location"]) == (303, "/console")
    return browser


def test_nobody_is_led_to_the_login(browser: ConsoleBrowser) -> None:
    led = browser.get("/console/registry?a=b")
    assert (led.status_code, led.headers["location"]) == (303, "/console/login?next=/console/registry%3Fa%3Db")
    page = browser.get(led.headers["location"])
    assert page.status_code == 200
    assert 'name="next" value="/console/registry?a=b"' in page.text
    refused = browser.get("/console/registry", accept="application/json")
    assert (refused.status_code, refused.json()["code"]) == (401, "UNAUTHENTICATED")


@pytest.mark.parametrize(
    "leads", ["https://evil.example/", "//evil.example", "/\\evil.example", "/console//\nx", "/api"]
)
def test_a_login_leads_to_the_console_alone(browser: ConsoleBrowser, leads: str) -> None:
    form = {"email": "admin@souk.test", "password": "admin-password", "next": leads}
    answer = browser.send("POST", "/console/login", headers=OWN, data=form)
    assert (answer.status_code, answer.headers["location"]) == (303, "/console")


def test_a_wrong_password_is_said_on_the_login_page(browser: ConsoleBrowser, shop: Shop) -> None:
    answer = browser.log_in(shop.stranger().email, "not the password")
    assert answer.status_code == 401
    assert 'role="alert"' in answer.text
    assert browser.cookies == {}


def test_a_login_from_a_foreign_page_is_refused(browser: ConsoleBrowser) -> None:
    form = {"email": "admin@souk.test", "password": "admin-password"}
    for headers in ({}, {"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}):
        assert browser.send("POST", "/console/login", headers=headers, data=form).status_code == 403
    assert browser.cookies == {}


def test_a_user_who_is_no_admin_is_told_so(browser: ConsoleBrowser, shop: Shop) -> None:
    buyer = shop.stranger()
    assert browser.log_in(buyer.email, buyer.password).status_code == 303
    page = browser.get("/console/registry")
    assert page.status_code == 403
    assert "The console is for operators" in page.text
    bearer = {"authorization": f"Bearer {buyer.token}", "accept": "application/json"}
    assert browser.client.get("/console/registry", headers=bearer).status_code == 403


def test_pages_may_use_nothing_but_their_own_files(admin: ConsoleBrowser) -> None:
    for path in ("/console/login", "/console/registry", "/console/nothing"):
        page = admin.get(path)
        policy = dict(part.strip().split(" ", 1) for part in page.headers["content-security-policy"].split(";"))
        assert policy == POLICY, path
        assert page.headers["cache-control"] == "no-store"
        assert not re.search(r"<script(?! src=\"/console/assets/)|<style|\sstyle=|\son[a-z]+=", page.text), path


def test_pages_without_secrets_are_compressed_and_no_others(admin: ConsoleBrowser, shop: Shop) -> None:
    if shop.mode not in SUPERVISED:
        return
    for path, packed in (("/console/logs", True), ("/console/registry", True), ("/console/breakers", False)):
        assert "content-encoding" not in admin.get(path, **{"accept-encoding": "identity"}).headers
        for encoding in ("gzip", "br"):
            page = admin.get(path, **{"accept-encoding": encoding})
            assert page.headers.get("content-encoding") == (encoding if packed else None), path
            assert page.text.startswith("<!doctype html>")
            assert "accept-encoding" in page.headers["vary"]
            assert packed is not ('name="proof"' in page.text), "a proof beside what strangers write is not compressed"


def test_assets_are_kept_for_good_and_small(admin: ConsoleBrowser) -> None:
    page = admin.get("/console/registry").text
    paths = set(re.findall(r'(?:src|href)="(/console/assets/[^"]+)"', page))
    assert {path.partition(".")[0].rpartition("/")[2] for path in paths} >= {"console", "htmx", "icon"}
    for path in paths:
        packed = admin.client.get(path, headers={"accept-encoding": "gzip"})
        assert packed.status_code == 200
        assert packed.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert admin.client.get("/console/assets/%2e%2e%2fapp.py").status_code == 404
    assert admin.client.get("/console/assets/htmx.min.js").status_code == 404


def test_the_registry_is_what_souk_ps_lists(admin: ConsoleBrowser, shop: Shop) -> None:
    page, data = admin.get("/console/registry"), admin.get("/console/registry?format=json")
    if shop.mode not in SUPERVISED:
        assert page.status_code == data.status_code == 503
        assert "no system runs on" in page.text
        assert "Nothing is shown because nothing could be read" in page.text
        assert data.json()["code"] == "SYSTEM_UNAVAILABLE"
        return
    processes = data.json()
    services = {one["service"] for one in processes}
    assert ("marketplace" if shop.mode == "embedded" else "order") in services
    for one in processes:
        assert f'id="row-{one["instance"]}"' in page.text


def test_an_admins_bearer_token_reads_as_json(shop: Shop) -> None:
    headers = {"authorization": f"Bearer {shop.admin.token}", "accept": "application/json"}
    answer = httpx.get(f"{shop.url}/console/registry", headers=headers, timeout=60)
    assert answer.status_code == (200 if shop.mode in SUPERVISED else 503)


def test_a_login_goes_on_when_its_access_token_has_ended(admin: ConsoleBrowser) -> None:
    before = admin.cookies.pop("__Host-souk-access")
    page = admin.get("/console/registry")
    assert page.status_code != 303
    assert admin.cookies["__Host-souk-access"] != before


def test_logging_out_ends_the_login(admin: ConsoleBrowser) -> None:
    kept = dict(admin.cookies)
    assert admin.send("POST", "/console/logout").status_code == 403
    assert admin.send("POST", "/console/logout", headers=OWN).headers["location"] == "/console/login"
    assert admin.cookies == {}
    admin.cookies = {"__Host-souk-refresh": kept["__Host-souk-refresh"]}
    assert admin.get("/console/registry").status_code == 303


def test_methods_that_a_page_does_not_take(admin: ConsoleBrowser) -> None:
    answer = admin.send("DELETE", "/console/registry", headers=OWN)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")
    assert admin.send("HEAD", "/console/registry").content == b""
    assert admin.get("/console/nothing/here").status_code == 404


def test_breakers_are_forced_with_a_reason(admin: ConsoleBrowser, shop: Shop) -> None:
    if shop.mode not in SUPERVISED:
        assert admin.get("/console/breakers").status_code == 503
        return
    evil = '<script>alert("x")</script>'
    # Sidecars have the place of breakers between services; what Payment calls outside has one of its own.
    callee = "card-provider" if shop.mode == "mesh" else "product"
    form = {"callee": callee, "caller": "", "mode": "open", "why": evil}
    path = "/console/breakers"
    shop.buyer().buy((shop.product(), 1, 1_200))
    for headers, proof in (({}, admin.proof(path)), (OWN, ""), (OWN, "1.abc"), (OWN, admin.proof(path)[:-1] + "!")):
        refused = admin.send("POST", path, headers=headers, data={**form, "proof": proof})
        assert refused.status_code == 403, proof
    try:
        done = admin.act(path, **form)
        assert done.status_code == 200, done.text
        assert "forced open" in done.text
        assert evil not in done.text
        forced = [one for one in admin.get(f"{path}?format=json").json()["breakers"] if one["callee"] == callee]
        assert forced
        assert {(one["state"], one["why"], one["operator"]) for one in forced} == {("forced open", evil, "U-admin")}
    finally:
        done = admin.act(path, **{**form, "mode": "auto", "why": "the test is over"})
    assert done.status_code == 200
    found = admin.get(f"{path}?format=json").json()["breakers"]
    assert {one["state"] for one in found if one["callee"] == callee} == {"closed"}
    assert admin.act(path, **{**form, "why": " "}).status_code == 400
    assert admin.act(path, **{**form, "callee": "nobody"}).status_code == 404

    def banded() -> bool:
        known = admin.get(f"{path}?format=json").json()["history"]["breakers"]
        states = [state["state"] for one in known if one["callee"] == callee for state in one["states"]]
        return "closed" in states

    until(banded, 120, "the states of the breakers are gathered")
    assert '<svg class="band"' in admin.get(path).text


def test_the_console_does_not_lock_operators_out(admin: ConsoleBrowser, shop: Shop) -> None:
    if shop.mode not in SUPERVISED:
        return
    path, why = "/console/breakers", "to see what happens"
    for caller in ("", "gateway"):
        refused = admin.act(path, callee="user", caller=caller, mode="open", why=why)
        assert refused.status_code == 409, refused.text
        assert "souk breakers --force user=open" in refused.text
    states = {one["state"] for one in admin.get(f"{path}?format=json").json()["breakers"] if one["callee"] == "user"}
    assert states == (set() if shop.mode == "mesh" else {"closed"}), "a sidecar's caller has no breaker at all"


def test_sagas_are_listed_and_shown(admin: ConsoleBrowser, shop: Shop) -> None:
    if shop.mode not in SUPERVISED:
        assert admin.get("/console/sagas").status_code == 503
        return
    order = shop.buyer().buy((shop.product(), 1, 1_200))
    page = admin.get(f"/console/sagas?state=all&text={order['id']}")
    assert page.status_code == 200
    link = re.search(r'href="(/console/sagas/place-order[^"]+)"', page.text)
    assert link

    def steps() -> list[str]:
        return [step["state"] for step in admin.get(f"{link[1]}?format=json").json()["steps"]]

    # An order is confirmed when its third step is done.
    until(lambda: steps() == ["done"] * 4, 120, "the stock is committed")
    assert admin.get(link[1]).status_code == 200
    assert admin.get("/console/sagas/place-order%3AORD-NONE%3A1").status_code == 404


def test_parked_work_and_lag_are_listed(admin: ConsoleBrowser, shop: Shop) -> None:
    for path in ("/console/parked", "/console/events"):
        page, data = admin.get(path), admin.get(f"{path}?format=json")
        assert page.status_code == data.status_code == (200 if shop.mode in SUPERVISED else 503), page.text
        if shop.mode in SUPERVISED:
            assert data.json()["silent"] == []
    if shop.mode in SUPERVISED:
        assert admin.get("/console/parked/EVT-NONE").status_code == 404
        found = admin.get("/console/events?format=json").json()["brokers"]
        if shop.mode == "embedded":
            assert found == []
        else:
            assert {"notification/mails", "analytics/figures"} <= {one["consumer"] for one in found}
            assert all(one["events"] is not None and one["note"].startswith("Redis Streams:") for one in found), found


def test_the_map_and_the_invariants(admin: ConsoleBrowser, shop: Shop) -> None:
    if shop.mode not in SUPERVISED:
        assert admin.get("/console").status_code == admin.get("/console/invariants").status_code == 503
        return
    shop.buyer().buy((shop.product(), 1, 1_200))
    wanted = {("gateway", "order"), ("order", "inventory"), ("order", "payment")}

    def graph_now() -> dict[str, Any]:
        found: dict[str, Any] = admin.get("/console?format=json").json()
        return found

    def calls_of(graph: dict[str, Any]) -> set[tuple[str, str]]:
        return {(edge["caller"], edge["callee"]) for edge in graph["edges"]}

    # Where sidecars have the place of breakers, calls are known when their figures have been gathered.
    until(lambda: wanted <= calls_of(graph_now()), 120, "the calls of the order are on the map")
    page, graph = admin.get("/console"), graph_now()
    assert page.status_code == 200
    calls = calls_of(graph)
    assert {"gateway", "order", "payment"} <= {node["name"] for node in graph["nodes"]}
    database = "sqlite" if shop.mode == "embedded" else "postgres"
    assert {("order", database), ("payment", database)} <= calls
    assert {node["kind"] for node in graph["nodes"] if node["name"] == database} == {"engine"}
    assert admin.get("/console/invariants").status_code == 200
    found = admin.get("/console/invariants?format=json").json()
    assert len(found["invariants"]) == 6
    states = {one["name"]: one["state"] for one in found["invariants"]}
    assert set(states.values()) <= {"holds", "in motion"}, found
    assert states["Stock adds up"] == states["Ledger"] == states["Bank"] == "holds", found
    assert any(one["sums"] for one in found["invariants"])


def test_an_order_is_one_page_as_of_any_moment(admin: ConsoleBrowser, shop: Shop) -> None:
    if shop.mode not in SUPERVISED:
        assert admin.get("/console/orders/ORD-1").status_code == 503
        return
    product = shop.product()
    order = shop.buyer().buy((product, 1, 1_200))
    path = f"/console/orders/{order['id']}"

    def whole() -> bool:
        found = admin.get(f"{path}?format=json").json()["records"]
        if f"1 of {product}: committed" not in {one["what"] for one in found}:
            return False
        to = {one["detail"].partition("delivered for ")[2] for one in found if one["kind"] == "delivery"}
        # With a broker the outbox records that the broker has it.
        return to - {""} if shop.mode != "embedded" else {"notification/mails", "analytics/figures"} <= to

    until(whole, 120, "the order's stock is committed and its event is delivered")
    found = admin.get(f"{path}?format=json").json()
    assert found["failed"] == {}
    kinds = {(one["service"], one["kind"]) for one in found["records"]}
    assert kinds >= {
        ("order", "event"),
        ("order", "outbox"),
        ("order", "delivery"),
        ("saga", "run"),
        ("saga", "step"),
        ("inventory", "stock"),
        ("payment", "payment"),
        ("payment", "ledger"),
    }
    assert [one["what"] for one in found["records"] if one["kind"] == "ledger"].count("-12.00 EUR to bank") == 1
    times = [one["at"] for one in found["records"]]
    assert times == sorted(times)
    page = admin.get(path)
    assert page.status_code == 200
    assert 'class="later"' not in page.text
    charge = [one for one in found["records"] if one["what"].startswith("charge payment: ")]
    assert [one["what"] for one in charge] == ["charge payment: begins", "charge payment: done"]
    assert [one["what"] for one in found["records"] if one["kind"] == "stock"] == [
        f"1 of {product}: reserved",
        f"1 of {product}: committed",
    ]
    assert [one["what"] for one in found["records"] if one["kind"] == "payment"] == [
        "12.00 EUR is PENDING",
        "12.00 EUR is CAPTURED",
    ]
    then = admin.get(f"{path}?format=json&at={charge[0]['at']}").json()["states"]
    assert {one["what"] for one in then} >= {"charge payment: begins", f"1 of {product}: reserved"}
    assert not {one["what"] for one in then} & {"charge payment: done", f"1 of {product}: committed"}
    assert len([one for one in then if one["kind"] == "stock"]) == 1
    early = admin.get(f"{path}?at={times[0]}")
    assert early.text.count('<tr class="later"') == sum(at > times[0] for at in times)
    assert admin.get(f"{path}?at=yesterday").status_code == 400
    assert admin.get("/console/orders/ORD-NONE").status_code == 404
    assert admin.get(f"{path}?view=place-order:ORD-NONE:1").status_code == 404
    run = admin.get(f"/console/sagas/place-order%3A{order['id']}%3A1")
    assert f'href="{path}"' in run.text


def test_a_crash_by_the_button_is_recovered_from(admin: ConsoleBrowser, shop: Shop) -> None:
    path = "/console/faults"
    if shop.mode not in SUPERVISED:
        assert admin.get(path).status_code == 503
        return
    found = admin.get(f"{path}?format=json").json()
    assert found["allowed"]
    names = {one["name"] for one in found["points"] if one["service"] == "order"}
    assert {"", "place-order/started/before", "place-order/charge payment/do/after"} <= names
    page = admin.get(path)
    assert page.status_code == 200
    assert "charge payment: after its call" in page.text
    assert admin.act(path, service="order", name="no such point").status_code == 503
    assert admin.send("POST", path, headers=OWN, data={"service": "order", "name": "", "proof": ""}).status_code == 403
    if shop.mode == "embedded":
        return  # the one process is the system, and nobody starts it again here

    def payments() -> list[dict[str, Any]]:
        found = admin.get("/console/registry?format=json").json()
        return [one for one in found if one["service"] == "payment"]

    before = sum(one["restarts"] for one in payments())
    assert "dies now" in admin.act(path, service="payment", name="").text
    until(lambda: sum(one["restarts"] for one in payments()) > before, 120, "the supervisor starts it again")
    until(lambda: all(one["state"] == "ready" for one in payments()), 120, "it is ready again")


def test_a_page_is_told_when_it_has_changed_until_the_login_ends(admin: ConsoleBrowser, shop: Shop) -> None:
    path = "/console/registry"
    if shop.mode not in SUPERVISED:
        return
    cookies = "; ".join(f"{name}={value}" for name, value in admin.cookies.items())
    wanted = {"accept": "text/event-stream", "accept-encoding": "gzip, br", "cookie": cookies}
    with httpx.stream("GET", f"{shop.url}{path}", headers=wanted, timeout=60) as stream:
        assert stream.status_code == 200
        assert stream.headers["content-type"] == "text/event-stream"
        assert "content-encoding" not in stream.headers
        lines = stream.iter_lines()
        assert "event: changed" in (next(lines) for _ in range(10))
        assert admin.send("POST", "/console/logout", headers=OWN).status_code == 303
        assert "event: end" not in list(lines), "the stream goes on after the logout"
    refused = httpx.get(f"{shop.url}{path}", headers={"accept": "text/event-stream"}, timeout=60)
    assert (refused.status_code, refused.json()["code"]) == (401, "UNAUTHENTICATED")


def test_calls_are_slow_or_fail_on_purpose_for_a_time(admin: ConsoleBrowser, shop: Shop) -> None:
    if shop.mode not in SUPERVISED:
        return
    path, product = "/console/faults", shop.product()

    def injected() -> dict[str, Any]:
        found: list[dict[str, Any]] = admin.get(f"{path}?format=json").json()["injected"]
        return next(one for one in found if one["service"] == "inventory")

    def answer() -> int:
        return shop.anyone.get(f"/api/v1/stock/{product}").status_code

    assert admin.act(path, service="inventory", delay="many", seconds="30").status_code == 400
    assert admin.act(path, service="inventory", code="OK", share="100", seconds="30").status_code == 503
    assert "go wrong on purpose" in admin.act(path, service="inventory", delay="300", share="100", seconds="600").text
    began = time.monotonic()
    assert answer() == 200
    assert time.monotonic() - began >= 0.3
    done = admin.act(path, service="inventory", code="UNAVAILABLE", share="100", seconds="600")
    assert done.status_code == 200, done.text
    assert answer() == 503
    assert injected()["code"] == "UNAVAILABLE"
    assert int(injected()["hit"]) >= 1
    assert not injected()["over"]
    assert "of calls" in admin.get(path).text
    assert "as always again" in admin.act(path, service="inventory", seconds="0").text
    assert injected()["over"]
    until(lambda: answer() == 200, 120, "inventory answers, once breakers have closed")


def test_an_operator_stays_one_while_the_service_of_logins_fails(shop: Shop) -> None:
    if shop.mode not in SUPERVISED - {"scaled"}:  # the other gateway has not met this operator
        return
    path = "/console/faults"
    with ConsoleBrowser(shop.url) as admin:
        assert admin.log_in().status_code == 303
        assert admin.act(path, service="user", code="UNAVAILABLE", share="100", seconds="600").status_code == 200
        try:
            with ConsoleBrowser(shop.url) as other:
                assert other.log_in().status_code == 503
            assert admin.get("/console/registry").status_code == 200
        finally:
            assert admin.act(path, service="user", seconds="0").status_code == 200
        until(lambda: admin.log_in().status_code == 303, 120, "logins work again, once breakers have closed")
