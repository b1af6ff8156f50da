"""Every list of every contract: a page token leads on in its own list alone, and an empty one is none."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from souk.descriptors.contract import Method, contract_of
from souk.runtime.config import entry_points
from tests.market.api import Api, rows_of
from tests.market.shop import HOME, PASSWORD, Buyer, Shop, browser

Query = dict[str, str]


def paged() -> Iterator[Method]:
    """Gives every public method whose request has a page token."""
    for service in entry_points.app(None).services:
        for method in contract_of(service.contract).methods.values():
            if method.http and "page_token" in method.input.DESCRIPTOR.fields_by_name:
                yield method


METHODS = {method.name: method for method in paged()}
QUERIES: dict[str, Query] = {"SearchProducts": {"q": "set"}}
OTHER_QUERIES: dict[str, list[Query]] = {
    "ListProducts": [{"sort": "-name"}, {"sort": "price"}, {"category": "kitchen"}, {"minPrice": "1"}],
    "SearchProducts": [{"q": "box"}, {"q": "set", "category": "toys"}],
}


@dataclass
class Lists:
    """A buyer with two entries in each list, another buyer, and the token of each list's second page."""

    buyer: Buyer
    other: Api
    order: str
    tokens: dict[str, str]

    def path(self, name: str) -> str:
        return METHODS[name].http[0].path.replace("{id}", self.order)


@pytest.fixture(scope="module")
def lists(shop: Shop) -> Lists:
    buyer, other = shop.buyer(), shop.buyer()  # each with a home and a card
    for _ in range(2):
        buyer.ok("POST", "/api/v1/addresses", 201, json=HOME)
        buyer.save_card("tok_visa")
        buyer.ok("POST", "/api/v1/push-subscriptions", 201, json=browser())
        key = {"name": "till", "scopes": ["order:read"], "currentPassword": PASSWORD}
        buyer.ok("POST", "/api/v1/api-keys", 201, json=key)
    product = shop.product(stock=5, price=100)
    orders = [buyer.buy((product, 1, 100)) for _ in range(2)]
    lists = Lists(buyer, other, orders[0]["id"], {})
    for name in METHODS:
        page = buyer.ok("GET", lists.path(name), params={**QUERIES.get(name, {}), "pageSize": 1})
        assert "nextPageToken" in page, f"{name} has one page"
        lists.tokens[name] = page["nextPageToken"]
    return lists


def test_there_are_lists() -> None:
    assert len(METHODS) >= 7


@pytest.mark.parametrize("name", METHODS)
def test_a_token_leads_on_in_its_own_list(lists: Lists, name: str) -> None:
    query = QUERIES.get(name, {})
    first = lists.buyer.ok("GET", lists.path(name), params={**query, "pageSize": 1})
    second = lists.buyer.ok(
        "GET", lists.path(name), params={**query, "pageSize": 100, "pageToken": first["nextPageToken"]}
    )
    assert rows_of(second)
    assert rows_of(first)[0] not in rows_of(second)


@pytest.mark.parametrize("name", METHODS)
def test_an_empty_token_is_the_first_page(lists: Lists, name: str) -> None:
    query = {**QUERIES.get(name, {}), "pageSize": "1"}
    assert lists.buyer.ok("GET", lists.path(name), params={**query, "pageToken": ""}) == lists.buyer.ok(
        "GET", lists.path(name), params=query
    )


@pytest.mark.parametrize("name", METHODS)
def test_every_other_lists_token_is_refused(lists: Lists, name: str) -> None:
    for other, token in lists.tokens.items():
        if other != name:
            query = {**QUERIES.get(name, {}), "pageToken": token}
            lists.buyer.invalid("pageToken", "GET", lists.path(name), params=query)


@pytest.mark.parametrize("name", OTHER_QUERIES)
def test_a_token_of_another_filter_or_order_is_refused(lists: Lists, name: str) -> None:
    for query in OTHER_QUERIES[name]:
        query = {**query, "pageToken": lists.tokens[name]}
        lists.buyer.invalid("pageToken", "GET", lists.path(name), params=query)


def test_the_history_of_one_order_does_not_go_on_in_another(lists: Lists) -> None:
    orders = lists.buyer.ok("GET", "/api/v1/orders")["orders"]
    other = next(order["id"] for order in orders if order["id"] != lists.order)
    query = {"pageToken": lists.tokens["ListOrderEvents"]}
    lists.buyer.invalid("pageToken", "GET", f"/api/v1/orders/{other}/events", params=query)


OWN = [name for name, method in METHODS.items() if method.policy.access.name == "CALLER" and name != "ListOrderEvents"]
"""Lists that are a caller's; of somebody else's order it is only said that there is none."""


@pytest.mark.parametrize("name", OWN)
def test_a_token_of_another_caller_is_refused(lists: Lists, name: str) -> None:
    lists.other.invalid("pageToken", "GET", lists.path(name), params={"pageToken": lists.tokens[name]})
