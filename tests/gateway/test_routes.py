"""Which endpoint a path means."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from souk.descriptors.path_template import Template, decoded
from souk.gateway.http.routes import Router


def router() -> Router[str]:
    made: Router[str] = Router()
    for method, path in (
        ("GET", "/users/{id}"),
        ("GET", "/users/me"),
        ("PATCH", "/users/me"),
        ("POST", "/users/me:changePassword"),
        ("GET", "/orders"),
        ("GET", "/orders/{id}"),
        ("POST", "/orders/{id}:cancel"),
        ("GET", "/orders/{id}/events"),
        ("POST", "/wallet:topUp"),
        ("GET", "/a/{b}/c"),
        ("GET", "/{a}/x/{c}"),
        ("GET", "/"),
    ):
        made.add(method, path, f"{method} {path}")
    return made


@pytest.mark.parametrize(
    ("path", "endpoint", "variables"),
    [
        ("/users/me", "GET /users/me", []),
        ("/users/7", "GET /users/{id}", ["7"]),
        ("/orders/1", "GET /orders/{id}", ["1"]),
        ("/orders/1/events", "GET /orders/{id}/events", ["1"]),
        ("/orders/a%2Fb", "GET /orders/{id}", ["a%2Fb"]),
        ("/orders/a%3Acancel", "GET /orders/{id}", ["a%3Acancel"]),
        ("/orders/..", "GET /orders/{id}", [".."]),
        ("/a/b/c", "GET /a/{b}/c", ["b"]),
        ("/a/x/d", "GET /{a}/x/{c}", ["a", "d"]),
        ("/a/x/c", "GET /a/{b}/c", ["x"]),
        ("/", "GET /", []),
    ],
)
def test_a_path_is_found(path: str, endpoint: str, variables: list[str]) -> None:
    found = router().find(path)
    assert found is not None
    assert (found[0].endpoints["GET"], found[1]) == (endpoint, variables)


@pytest.mark.parametrize(
    "path",
    ["", "orders", "/orders/", "//orders", "/orders/1/", "/orders//events", "/orders/:cancel", "/orders/1:", "/Orders",
     "/orders/1:CANCEL", "/orders/1:cancel/x", "/wallet", "/orders:cancel", "/%6Frders", "/orders/1:unknown", "*"],
)  # fmt: skip
def test_what_is_not_there_is_not_found(path: str) -> None:
    assert router().find(path) is None


def test_a_custom_verb_begins_at_the_last_colon() -> None:
    found = router().find("/orders/a:b:cancel")
    assert found is not None
    assert (found[0].endpoints, found[1]) == ({"POST": "POST /orders/{id}:cancel"}, ["a:b"])


def test_allow_lists_what_the_path_takes() -> None:
    found = router().find("/users/me")
    assert found is not None
    assert found[0].allow == "GET, HEAD, OPTIONS, PATCH"


def test_two_endpoints_do_not_share_a_place() -> None:
    made = router()
    with pytest.raises(ValueError):
        made.add("GET", "/orders", "again")
    with pytest.raises(ValueError):
        made.add("GET", "/orders/{other=*}", "another name")
    made.add("DELETE", "/orders/{other}", "another method, which names its variable as it likes")


@pytest.mark.parametrize(
    "path",
    ["", "orders", "/x/{a", "/a}", "/**/a", "/{a=**}/b", "/a*", "/{a=b*}", "/{a={b}}", "/{}", "/{a.}", "/{1a}",
     "/{a}b", "/x{a}", "/{a=b=c}", "/{a}/{a}", "/a/{b"],
)  # fmt: skip
def test_what_is_no_template_is_refused(path: str) -> None:
    with pytest.raises(ValueError):
        Template.parse(path)


def test_all_endpoints_can_be_listed() -> None:
    assert len(list(router())) == 12


@given(st.text(st.characters(exclude_categories=("Cs",)), min_size=1))
def test_decoding_undoes_encoding(text: str) -> None:
    assert decoded(quote(text, safe="")) == text


@pytest.mark.parametrize("segment", ["%", "%2", "%zz", "a%", "%ff", "%c3%28", "%ed%a0%80", "é", "%%41", "%+1"])
def test_what_is_not_encoded_utf8_is_none(segment: str) -> None:
    assert decoded(segment) is None


@given(st.text(st.sampled_from("/:%aA0{}.*é")))
def test_no_path_breaks_the_router(path: str) -> None:
    found = router().find(path)
    assert found is None or all(found[1])


def test_a_path_that_was_asked_for_before_it_had_a_route_has_it_afterwards() -> None:
    router: Router[str] = Router()
    assert router.find("/things/one") is None
    router.add("GET", "/things/{id}", "a thing")
    found = router.find("/things/one")
    assert found is not None
    assert (found[0].endpoint("GET"), found[1]) == ("a thing", ["one"])


def test_paths_are_found_however_many_were_asked_for_before() -> None:
    router: Router[str] = Router()
    router.add("GET", "/things/{id}", "a thing")
    for _ in range(2):
        for number in range(3_000):
            found = router.find(f"/things/{number}")
            assert found is not None
            assert found[1] == [str(number)]
    longest = router.find("/things/" + "x" * 5_000)
    assert longest is not None
    assert longest[1] == ["x" * 5_000]
