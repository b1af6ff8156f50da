"""The catalogue and its stock, and that every list can be paged through."""

from tests.market.api import new_key
from tests.market.shop import HOME, Shop

PRODUCTS = "/api/v1/products"


def test_the_demo_catalogue(shop: Shop) -> None:
    products = [product for page in shop.anyone.pages(PRODUCTS, 25) for product in page]
    assert len(products) >= 60
    assert len({product["category"] for product in products}) >= 6
    lamp = shop.anyone.ok("GET", f"{PRODUCTS}/P-101")
    assert (lamp["price"], lamp["currency"]) == (1_200, "EUR")
    assert {"id", "name", "description", "category", "price", "currency", "createdAt", "updatedAt"} <= lamp.keys()


def test_a_product_comes_changes_and_goes(shop: Shop) -> None:
    word = f"zellige{new_key()[-8:]}"
    body = {
        "name": f"Blue {word} tile",
        "description": "Glazed by hand.",
        "category": "tiles",
        "price": 700,
        "currency": "EUR",
        "imageUrl": "https://souk.test/tile.png",
    }
    response = shop.admin.post(PRODUCTS, json=body)
    product = response.json()
    path = f"{PRODUCTS}/{product['id']}"
    assert (response.status_code, response.headers["location"]) == (201, path)
    assert product.items() >= body.items()
    assert shop.anyone.ok("GET", path) == product
    shop.admin.problem(409, "PRODUCT_EXISTS", "POST", PRODUCTS, json={**body, "id": product["id"]})
    found = shop.anyone.ok("GET", f"{PRODUCTS}:search", params={"q": word})["products"]
    assert [hit["id"] for hit in found] == [product["id"]]

    changed = shop.admin.ok("PATCH", path, json={"price": 650})
    assert (changed["price"], changed["name"]) == (650, product["name"])
    assert shop.anyone.ok("GET", path) == changed
    shop.admin.ok("DELETE", path, 204)
    shop.anyone.problem(404, "PRODUCT_NOT_FOUND", "GET", path)
    shop.admin.problem(404, "PRODUCT_NOT_FOUND", "PATCH", path, json={"price": 1})
    assert shop.anyone.ok("GET", f"{PRODUCTS}:search", params={"q": word})["products"] == []


def test_lists_are_filtered_and_sorted(shop: Shop) -> None:
    listed = shop.anyone.ok("GET", PRODUCTS, params={"minPrice": 1_000, "maxPrice": 3_000, "sort": "-price"})
    prices = [product["price"] for product in listed["products"]]
    assert prices == sorted(prices, reverse=True)
    assert all(1_000 <= price <= 3_000 for price in prices)
    category = shop.anyone.ok("GET", f"{PRODUCTS}/P-101")["category"]
    of_it = shop.anyone.ok("GET", PRODUCTS, params={"category": category})["products"]
    assert {product["category"] for product in of_it} == {category}


def test_stock_is_adjusted_once_a_key_and_never_below_zero(shop: Shop) -> None:
    lamp, key = shop.product(stock=0), new_key()
    path = f"/api/v1/stock/{lamp}"
    shop.anyone.problem(404, "STOCK_NOT_FOUND", "GET", path)
    body = {"delta": 5, "reason": "delivery", "idempotencyKey": key}
    for _ in range(2):
        assert shop.admin.ok("POST", f"{path}:adjust", json=body) == {"productId": lamp, "available": 5}
    shop.admin.problem(422, "IDEMPOTENCY_KEY_REUSED", "POST", f"{path}:adjust", json={**body, "delta": 6})
    less = {"delta": -6, "reason": "broken", "idempotencyKey": new_key()}
    document = shop.admin.problem(409, "OUT_OF_STOCK", "POST", f"{path}:adjust", json=less)
    assert document["items"] == [{"productId": lamp, "available": 5}]
    assert shop.admin.ok("POST", f"{path}:adjust", json={**less, "delta": -5, "idempotencyKey": new_key()}) == {
        "productId": lamp,
        "available": 0,
    }
    for field, change in (
        ("delta", {"delta": 0}),
        ("reason", {"reason": ""}),
        ("idempotencyKey", {"idempotencyKey": ""}),
    ):
        shop.admin.invalid(field, "POST", f"{path}:adjust", json={**body, **change})


def test_every_list_is_paged(shop: Shop) -> None:
    lamp, buyer = shop.product(stock=20), shop.buyer()
    for number in range(4):
        buyer.ok("POST", "/api/v1/addresses", 201, json={**HOME, "line2": f"door {number}"})
        buyer.save_card("tok_slow")
    orders = [buyer.buy((lamp, 1, 1_200))["id"] for _ in range(5)]
    for path, name in (
        ("/api/v1/orders", "id"),
        ("/api/v1/addresses", "id"),
        ("/api/v1/payment-methods", "id"),
        ("/api/v1/payments", "id"),
        (f"/api/v1/orders/{orders[0]}/events", "sequence"),
    ):
        whole = [row[name] for page in buyer.pages(path, 100) for row in page]
        paged = [row[name] for page in buyer.pages(path, 2) for row in page]
        assert paged == whole, path
        assert len(set(paged)) == len(paged) >= 4, path
    assert [row["id"] for page in buyer.pages("/api/v1/orders", 2) for row in page] == orders[::-1]
    hits = [row["id"] for page in shop.anyone.pages(f"{PRODUCTS}:search", 3, q="lamp") for row in page]
    assert len(hits) == len(set(hits))
