"""A browser's session by cookies, from logging in to logging out."""

import httpx

from tests.market.api import Api
from tests.market.shop import Shop

ME, SESSION = "/api/v1/users/me", "/session"
OWN = {"sec-fetch-site": "same-origin"}


def _jar(response: httpx.Response) -> dict[str, str]:
    """Gives the Cookie header as a browser would send it: these are cookies of https and of loopback."""
    pairs = [value.partition(";")[0] for value in response.headers.get_list("set-cookie")]
    return {"cookie": "; ".join(pairs)}


def test_a_browser_logs_in_goes_on_and_logs_out(shop: Shop) -> None:
    buyer = shop.buyer()
    with httpx.Client(base_url=shop.url, timeout=60) as browser:
        login = {"email": buyer.ok("GET", ME)["email"], "password": buyer.password}
        assert browser.post(SESSION, json=login).status_code == 403, "a page of another origin logs nobody in"
        opened = browser.post(SESSION, json=login, headers=OWN)
        assert (opened.status_code, opened.content) == (204, b"")
        cookies = _jar(opened)
        browser.cookies.clear()
        assert browser.get(ME, headers=cookies).json()["email"] == login["email"]
        assert browser.patch(ME, json={"name": "M"}, headers=cookies).status_code == 403
        assert browser.patch(ME, json={"name": "M"}, headers={**cookies, **OWN}).status_code == 200
        went_on = browser.post("/session:refresh", headers={**cookies, **OWN})
        assert went_on.status_code == 204
        cookies = _jar(went_on)
        browser.cookies.clear()
        closed = browser.delete(SESSION, headers={**cookies, **OWN})
        assert closed.status_code == 204
        assert all("Max-Age=0" in value for value in closed.headers.get_list("set-cookie"))
        browser.cookies.clear()
        assert browser.post("/session:refresh", headers={**cookies, **OWN}).status_code == 401, "the login has ended"
    with Api(shop.url) as anyone:
        anyone.problem(401, "UNAUTHENTICATED", "GET", ME)
