"""What the gateway itself answers."""

import re

from tests.market import documented
from tests.market.shop import Shop


def test_it_says_how_it_is(shop: Shop) -> None:
    assert shop.anyone.ok("GET", "/healthz")
    assert shop.anyone.ok("GET", "/readyz")["status"] == "ready"
    metrics = shop.anyone.get("/metrics")
    assert metrics.status_code == 200
    assert "# HELP" in metrics.text


def test_the_verification_keys(shop: Shop) -> None:
    keys = shop.anyone.ok("GET", "/.well-known/jwks.json")["keys"]
    assert keys
    for key in keys:
        assert (key["kty"], key["crv"], key["alg"], key["use"]) == ("EC", "P-256", "ES256", "sig")
        assert key["kid"]
        assert "d" not in key, "a private key is published"


def test_the_openapi_document(shop: Shop) -> None:
    document = shop.anyone.ok("GET", "/openapi.json")
    assert document == documented.document()
    assert document["openapi"].startswith("3.1")
    assert "post" in document["paths"]["/api/v1/orders"]
    assert {"201", "202", "400", "401", "402", "404", "409", "422", "503"} <= (
        document["paths"]["/api/v1/orders"]["post"]["responses"].keys()
    )


def test_the_documentation_needs_no_internet(shop: Shop) -> None:
    page = shop.anyone.get("/docs")
    assert page.status_code == 200
    assert "/api/v1/orders" in page.text
    links = re.findall(r"""(?:src|href|action)\s*=\s*["']?(https?:)?//|url\(\s*["']?https?:|@import""", page.text)
    assert links == []
    assert not re.search(r"<script[^>]+src|fetch\(\s*[\"']https?:", page.text)


def test_a_sane_request_id_is_kept(shop: Shop) -> None:
    assert shop.anyone.get("/healthz", headers={"x-request-id": "my-id-1"}).headers["x-request-id"] == "my-id-1"
    for insane in ("x" * 1_000, "two words", "<script>"):
        assert shop.anyone.get("/healthz", headers={"x-request-id": insane}).headers["x-request-id"] != insane


def test_a_trace_goes_on(shop: Shop) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    response = shop.anyone.get("/api/v1/products/P-101", headers={"traceparent": f"00-{trace}-00f067aa0ba902b7-01"})
    assert response.headers["traceparent"].split("-")[1] == trace


def test_no_secret_reaches_a_log(shop: Shop) -> None:
    buyer = shop.buyer()
    logs = "".join(path.read_text() for path in (shop.data.parent / "logs").iterdir())
    for secret in (buyer.password, buyer.token, buyer.refresh, "demo-password", "tok_visa", "Souk Street 1"):
        assert secret not in logs
    assert "/api/v1/payment-methods" in logs
