"""Templates of paths, and the variables that they take out of a path and put into one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from souk.descriptors.path_template import Template, decoded
from souk.gateway.http.routes import Router


@pytest.mark.parametrize(
    ("template", "path", "values"),
    [
        ("/v1/{name=shelves/*/books/*}", "/v1/shelves/1/books/2", ["shelves/1/books/2"]),
        ("/v1/{name=shelves/*}/books/{id}", "/v1/shelves/a%20b/books/c%2Fd", ["shelves/a b", "c/d"]),
        ("/v1/{name=shelves/*}", "/v1/shelves/a%2Fb%2fc%3Ad", ["shelves/a%2Fb%2fc:d"]),
        ("/v1/{id=*}", "/v1/a%2Fb", ["a/b"]),
        ("/v1/{path=**}", "/v1/a/b%20c/d", ["a/b c/d"]),
        ("/v1/{path=**}", "/v1", [""]),
        ("/v1/{path=**}", "/v1/", [""]),
        ("/v1/{path=files/**}", "/v1/files", ["files"]),
        ("/v1/{path=files/**}", "/v1/files/", ["files/"]),
        ("/v1/{path=files/**}", "/v1/files//a/", ["files//a/"]),
        ("/v1/{path=files/**}:stat", "/v1/files/a:stat", ["files/a"]),
        ("/v1/*/{id}/**", "/v1/x/y/z/z", ["y"]),
        ("/v1/{book.name=a/*}:do", "/v1/a/b:do", ["a/b"]),
        ("/v1/{name=fixed}", "/v1/fixed", ["fixed"]),
    ],
)
def test_variables_are_taken_out_of_a_path(template: str, path: str, values: list[str]) -> None:
    router: Router[str] = Router()
    router.add("GET", template, "it")
    found = router.find(path)
    assert found is not None
    assert [variable.value(found[1]) for variable in Template.parse(template).bindings] == values


@pytest.mark.parametrize(
    ("template", "path"),
    [
        ("/v1/{name=shelves/*}", "/v1/shelves"),
        ("/v1/{name=shelves/*}", "/v1/shelves/"),
        ("/v1/{name=shelves/*}", "/v1/shelves/1/2"),
        ("/v1/{name=shelves/*}", "/v1/books/1"),
        ("/v1/{path=files/**}", "/v1"),
        ("/v1/{path=files/**}", "/v1/filesystem"),
        ("/v1/{path=**}:stat", "/v1/a"),
        ("/v1/{path=**}", "/v1/a:b"),
    ],
)
def test_another_path_is_not_found(template: str, path: str) -> None:
    router: Router[str] = Router()
    router.add("GET", template, "it")
    assert router.find(path) is None


def test_the_more_exact_segment_wins() -> None:
    router: Router[str] = Router()
    for template in ("/{a=**}", "/a/{b}", "/a/b", "/a/{b=**}", "/a/{b}/c", "/a/b/{c=**}"):
        router.add("GET", template, template)
    for path, expected in {
        "/a/b": "/a/b", "/a/x": "/a/{b}", "/a/x/c": "/a/{b}/c", "/a/x/d": "/a/{b=**}", "/a/b/c": "/a/b/{c=**}",
        "/a": "/a/{b=**}", "/x/y": "/{a=**}", "/a/b/": "/a/b/{c=**}",
    }.items():  # fmt: skip
        found = router.find(path)
        assert found is not None
        assert found[0].endpoints["GET"] == expected, path


def test_a_custom_rule_takes_any_method_that_has_no_own_rule() -> None:
    router: Router[str] = Router()
    for method in ("*", "GET"):
        router.add(method, "/a", method)
    router.add("HEAD", "/b", "HEAD")
    found = router.find("/a")
    assert found is not None
    assert [found[0].endpoint(method) for method in ("GET", "HEAD", "POST", "PROPFIND")] == ["GET", "GET", "*", "*"]
    other = router.find("/b")
    assert other is not None
    assert [other[0].endpoint(method) for method in ("HEAD", "GET")] == ["HEAD", None]


@pytest.mark.parametrize(
    ("template", "values"),
    [
        ("/v1/{name=shelves/*}", ["shelves"]),
        ("/v1/{name=shelves/*}", ["shelves/"]),
        ("/v1/{name=shelves/*}", ["shelves/1/2"]),
        ("/v1/{name=shelves/*}", ["books/1"]),
        ("/v1/{id}", [""]),
        ("/v1/*/{id}", ["1"]),
    ],
)
def test_a_value_that_does_not_fit_is_refused(template: str, values: list[str]) -> None:
    with pytest.raises(ValueError):
        Template.parse(template).expand(values)


TEXT = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=8)


@given(TEXT.filter(lambda text: "/" not in text), TEXT, st.text(st.sampled_from("/ab%:?#"), max_size=8))
def test_what_is_put_into_a_path_comes_out_of_it(shelf: str, book: str, rest: str) -> None:
    template = Template.parse("/v1/{name=shelves/*}/{id}/{path=**}:do")
    values = [f"shelves/{shelf}", book, rest]
    router: Router[str] = Router()
    router.add("GET", "/v1/{name=shelves/*}/{id}/{path=**}:do", "it")
    found = router.find(template.expand(values))
    assert found is not None
    assert [variable.value(found[1]) for variable in template.bindings] == values


@given(st.text(st.sampled_from("/{}=*.:ab"), max_size=12))
def test_any_text_is_a_template_or_refused(text: str) -> None:
    try:
        template = Template.parse(f"/{text}")
    except ValueError:
        return
    assert all(decoded(variable) for variable in template.variables)
