"""Generated requests against the running system: whatever is asked, the answer is one that the document foresees.

Requests are made out of the document, as it says and against it, always the same ones. So that they
get beyond "not found", some of them speak of what is really there.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from souk.testing.system import embedded
from tests.market import documented
from tests.market.books import Books
from tests.market.invariants import await_rest, violations
from tests.market.shop import HOME, Buyer, Shop

pytestmark = pytest.mark.xdist_group("api")

CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
)
FEW, MANY = 8, 80
NO_SCHEMA_SAYS = (
    # Of an order.
    ("items", "occurs more than once"),
    ("items", "the total must not exceed"),
    ("items", "must all have one currency"),
    # Tokens that were given out, by this system or by the provider.
    ("pageToken", "is not a page token of this system"),
    ("pageToken", "belongs to another list, filter, order or caller"),
    ("cardToken", "is not a token of the card provider"),
    ("cardToken", "a card number is never accepted"),
    # Either or, both or none.
    ("refreshToken", "must not be given together"),
    ("email", "must not be given together"),
    ("password", "must not be given together"),
    ("email", "is required, unless"),
    ("password", "is required, unless"),
    ("currentPassword", "is required to change the email"),
    # What the world or the books decide.
    ("country", "is not the code of a country"),
    ("postalCode", "is required: addresses in"),
    ("from", "is not a date that exists"),
    ("to", "must not be before"),
    ("to", "must be at most"),
    ("to", "is not a date that exists"),
    ("keys", "are required"),
    ("delta", "must not be 0"),
    ("delta", "pieces would have been received"),
    ("amount", "is more than the wallet can hold"),
)
"""Why the system may refuse what the schema allows: the field's beginning and what is said of it."""

WHO = ("buyer", "admin", "anyone")
"""Who asks."""

FATAL = ("DELETE /api/v1/users/me",)
"""What ends the account that asks: asked for by one that is made for it."""

ELSEWHERE = {"X-Forwarded-For": "192.0.2.1"}
"""Where wrong passwords come from: those who make accounts for the tests must not be throttled with them."""

SCHEMA = schemathesis.openapi.from_dict(documented.document())
FOUND = [result.ok() for result in SCHEMA.get_all_operations()]
OPERATIONS = {
    f"{operation.method.upper()} {operation.path}": operation
    # What deletes comes last.
    for operation in sorted(FOUND, key=lambda operation: (operation.method == "delete", operation.path))
}
MOSTLY = st.sampled_from([True, True, True, False])


@dataclass
class Visit:
    """A client and the ids of what exists."""

    shop: Shop
    buyer: Buyer
    there: dict[str, list[str]] = field(default_factory=dict)

    def lifelike(self, case: Any, draw: Callable[[st.SearchStrategy[Any]], Any]) -> None:
        """Puts ids of existing things into a generated request."""
        for name, value in (case.path_parameters or {}).items():
            known = self.there.get(case.path.split("/")[3].partition(":")[0], [value])
            case.path_parameters[name] = draw(st.sampled_from([value, *known]))
        if not isinstance(case.body, dict):
            return
        for name, known in self.there.items():
            if isinstance(case.body.get(name), str) and draw(MOSTLY):
                case.body[name] = draw(st.sampled_from(known))
        if "items" in case.body and draw(MOSTLY):
            product = draw(st.sampled_from(self.there["productId"]))
            case.body["items"] = [{"productId": product, "quantity": draw(st.integers(1, 3)), "price": 1_200}]


@pytest.fixture(scope="module")
def visit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visit]:
    """Starts a system for this module alone; at the end its data must be consistent."""
    proxies = {"SOUK_TRUSTED_PROXIES": "127.0.0.1"}
    with embedded(tmp_path_factory.mktemp("api"), settings=proxies) as system:
        shop = Shop(system.mode, system.url, system.data)
        yield _visit(shop)
        shop.close()
        books = Books(system.data)
        await_rest(books)
        assert violations(books) == []
        assert system.stop() == [0], system.output()


def _visit(shop: Shop) -> Visit:
    buyer, products = shop.buyer(), [shop.product(stock=1_000) for _ in range(2)]
    orders = [buyer.buy((products[0], 2, 1_200)) for _ in range(4)]
    cards = ["card", "wallet", buyer.save_card("tok_declined")["id"], buyer.save_card("tok_error")["id"]]
    there = {
        "orders": [order["id"] for order in orders],
        "payments": [order["paymentId"] for order in orders],
        "addresses": [buyer.ok("POST", "/api/v1/addresses", 201, json=HOME)["id"]],
        "payment-methods": [buyer.save_card("tok_visa")["id"]],
        "products": [shop.product()],
        "stock": products,
        "productId": products,
        "shippingAddressId": [buyer.home],
        "paymentMethod": cards,
        "cardToken": ["tok_visa", "tok_declined", "tok_error"],
        "currency": ["EUR", "USD"],
        "country": ["DE"],
        "email": [buyer.email],
        "password": [buyer.password],
        "idempotencyKey": [f"key {number}" for number in range(8)],
    }
    return Visit(shop, buyer, there)


def _ask(visit: Visit, name: str, mode: GenerationMode, examples: int, *tokens: Callable[[], str]) -> None:
    """Makes requests for an operation, and sends each with every one of the tokens: to make one takes several times as
    much CPU as to send it."""
    operation = OPERATIONS[name]

    @given(case=operation.as_strategy(generation_mode=mode), data=st.data())
    @settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def ask(case: Any, data: st.DataObject) -> None:
        if mode is GenerationMode.POSITIVE:
            visit.lifelike(case, data.draw)
            assume(not _has_tags(case.body))
        for token in tokens:
            _send(visit, case, mode, token())

    try:
        ask()
    except Unsatisfiable:
        assert mode is GenerationMode.NEGATIVE, "something right can always be asked"
        assert not operation.body, "whoever takes a body can be sent a wrong one"


def _send(visit: Visit, case: Any, mode: GenerationMode, token: str) -> None:
    bearer = {"Authorization": f"Bearer {token}", **ELSEWHERE}
    response = case.call(base_url=visit.shop.url, headers=bearer, timeout=30)
    if response.status_code == 503 and response.json()["code"] in _MAY_BE_AWAY:
        return
    if mode is GenerationMode.POSITIVE:
        require_acceptance(response.status_code, response.json() if response.content else None)
    elif _vanished(case, response.request.url):
        return
    checks = CHECKS if mode is GenerationMode.POSITIVE else (*CHECKS, negative_data_rejection)
    case.validate_response(response, checks=checks, headers=bearer)


_TAGS = re.compile("[\U000e0000-\U000e0fff]")
"""A line may have none of these; a pattern of ECMA 262 in the notation of the BMP cannot say so."""


def _has_tags(body: object) -> bool:
    return bool(_TAGS.search(json.dumps(body, ensure_ascii=False, default=str)))


def _vanished(case: Any, url: str) -> bool:
    """Whether a parameter of a wrong request was not sent at all, such as an empty list: what is left is right."""
    return bool((case.query or {}).keys() - parse_qs(urlsplit(url).query, keep_blank_values=True).keys())


def require_acceptance(status: int, document: Any) -> None:
    """Raises AssertionError if a request that the schema allows is refused with 400, and no further rule explains
    it."""
    if status != 400 or "error" in document:  # by RFC 6749: the test's own token beside a client's secret
        return
    for error in document["errors"]:
        known = [said for field, said in NO_SCHEMA_SAYS if error["field"].startswith(field)]
        assert any(said in error["detail"] for said in known), f"the schema allows it: {error}"


_MAY_BE_AWAY = ("PAYMENT_UNAVAILABLE", "ATTEMPT_CLOSING")
"""Answers to the card that fails at the provider: declared, and no error of the server."""


def _tokens(visit: Visit, name: str, who: str) -> Callable[[], str]:
    if name in FATAL:
        return lambda: visit.shop.stranger().token
    return lambda: {"buyer": visit.buyer.token, "admin": visit.shop.admin.token, "anyone": "garbage"}[who]


def _few(name: str) -> int:
    return 2 if name in FATAL else FEW


@pytest.mark.parametrize("name", OPERATIONS)
def test_what_the_document_allows(visit: Visit, name: str) -> None:
    tokens = [_tokens(visit, name, who) for who in ("buyer", "admin")]
    _ask(visit, name, GenerationMode.POSITIVE, _few(name), *tokens)


@pytest.mark.parametrize("name", OPERATIONS)
def test_what_the_document_forbids(visit: Visit, name: str) -> None:
    _ask(visit, name, GenerationMode.NEGATIVE, _few(name), _tokens(visit, name, "admin"))


@pytest.mark.full
@pytest.mark.parametrize("mode", [pytest.param(mode, marks=pytest.mark.xdist_group(mode)) for mode in GenerationMode])
@pytest.mark.parametrize("name", OPERATIONS)
def test_whatever_is_asked(visit: Visit, name: str, mode: GenerationMode) -> None:
    examples = MANY // 10 if name in FATAL else MANY
    _ask(visit, name, mode, examples, *(_tokens(visit, name, who) for who in WHO))
