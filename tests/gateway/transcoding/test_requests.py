"""Every rule of google.api.http: what a request over HTTP becomes."""

from typing import Any

import pytest
from google.protobuf import json_format

from tests.gateway.transcoding.conftest import Library
from tests.library import message


def fields(response: Any) -> dict[str, str]:
    assert response.status == 400, response.body
    return {error["field"]: error["detail"] for error in response.json["errors"]}


def as_json(asked: Any) -> dict[str, Any]:
    return json_format.MessageToDict(asked)  # type: ignore[no-any-return]


UNKNOWN = "is not a query parameter"
BOOK = "/v1/shelves/s1/books/b1"


@pytest.mark.parametrize(
    ("verb", "target", "body", "expected"),
    [
        # variables of several segments, additional bindings, custom verbs
        ("GET", BOOK, b"", {"name": "shelves/s1/books/b1"}),
        ("GET", "/v1/shelves/s%201/books/b%2F1", b"", {"name": "shelves/s 1/books/b%2F1"}),
        ("GET", "/v1/books/b%2F1", b"", {"name": "b/1"}),
        ("POST", f"{BOOK}:archive", {"view": "full"}, {"name": "shelves/s1/books/b1", "view": "full"}),
        ("POST", "/v1/archive/b1:now?view=x", b"", {"name": "b1", "view": "x"}),
        ("GET", "/v1/files/a/b/c.txt", b"", {"path": "a/b/c.txt"}),
        ("GET", "/v1/docs/a/b:stat", b"", {"path": "docs/a/b"}),
        ("GET", "/v1/wild/anything/x", b"", {"path": "x"}),
        ("GET", "/v1/tail/a/x/b/y/z", b"", {"path": "a/x/b/y/z"}),
        # nested fields in path and query
        ("GET", "/v1/deep/x", b"", {"nested": {"nested": {"aString": "x"}}}),
        ("GET", "/v1/echo?nested.aString=x&nested.nested.anInt32=7", b"",
         {"nested": {"aString": "x", "nested": {"anInt32": 7}}}),
        ("GET", "/v1/shelves/s1/books?filter.title=a+b&filter.author.homeTown=c", b"",
         {"parent": "shelves/s1", "filter": {"title": "a b", "author": {"homeTown": "c"}}}),
        ("PUT", "/v1/echo/x/in", {"nested": {"anInt32": 1}}, {"nested": {"aString": "x", "anInt32": 1}}),
        ("PUT", "/v1/echo/x/in", {}, {"nested": {"aString": "x"}}),
        # repeated fields and kinds of fields in the query
        ("GET", "/v1/echo?strings=a&strings=&strings=c", b"", {"strings": ["a", "", "c"]}),
        ("GET", "/v1/echo?nested.numbers=1&nested.numbers=2", b"", {"nested": {"numbers": [1, 2]}}),
        ("GET", "/v1/echo?colour=RED&colours=GREEN&colours=1", b"",
         {"colour": "COLOUR_RED", "colours": ["COLOUR_GREEN", "COLOUR_RED"]}),
        ("GET", "/v1/echo?aTime=2030-01-31T12:00:00Z&aDuration=3.5s", b"",
         {"aTime": "2030-01-31T12:00:00Z", "aDuration": "3.500s"}),
        ("GET", "/v1/echo?aMask=aString,nested.anInt32", b"", {"aMask": "aString,nested.anInt32"}),
        ("GET", "/v1/echo?aWrappedString=&aWrappedInt64=5&aWrappedBool=false", b"",
         {"aWrappedString": "", "aWrappedInt64": "5", "aWrappedBool": False}),
        ("GET", "/v1/echo?someBytes=-_8&nested.someBytes=%2B/8=", b"",
         {"someBytes": "+/8=", "nested": {"someBytes": "+/8="}}),
        ("GET", "/v1/echo?search%5Bfield%5D=x", b"", {"search[field]": "x"}),
        ("GET", "/v1/wrapped/7", b"", {"aWrappedInt64": "7"}),
        ("GET", "/v1/time/2030-01-31T12%3A00%3A00Z", b"", {"aTime": "2030-01-31T12:00:00Z"}),
        # bodies that are one field
        ("POST", "/v1/body/nested?aString=q", {"aString": "b"}, {"aString": "q", "nested": {"aString": "b"}}),
        ("POST", "/v1/body/strings?aString=q", b'["a","b"]', {"aString": "q", "strings": ["a", "b"]}),
        ("POST", "/v1/body/string", b'"a"', {"aString": "a"}),
        ("POST", "/v1/body/int64", b"12", {"anInt64": "12"}),
        ("POST", "/v1/body/list", b'[{"aString":"a"},{}]', {"list": [{"aString": "a"}, {}]}),
        ("POST", "/v1/body/counts", b'{"a":1}', {"counts": {"a": 1}}),
        ("POST", "/v1/body/time", b'"2030-01-31T12:00:00Z"', {"aTime": "2030-01-31T12:00:00Z"}),
        ("POST", "/v1/body/struct", b'{"a":[1,null]}', {"aStruct": {"a": [1, None]}}),
        ("POST", "/v1/body/strings", b"", {}),
        # custom methods
        ("REPORT", "/v1/echo", {"aString": "x"}, {"aString": "x"}),
        ("HEAD", "/v1/head/x", b"", {"aString": "x"}),
        ("PROPFIND", "/v1/any/x", b"", {"aString": "x"}),
        ("DELETE", "/v1/any/x", b"", {"aString": "x"}),
        # bytes and enums in JSON
        ("POST", "/v1/echo", {"someBytes": "-_8", "colour": 2, "colours": ["RED", 1]},
         {"someBytes": "+/8=", "colour": "COLOUR_GREEN", "colours": ["COLOUR_RED", "COLOUR_RED"]}),
    ],
)  # fmt: skip
async def test_a_request_becomes_a_message(
    library: Library, verb: str, target: str, body: Any, expected: dict[str, Any]
) -> None:
    response = await library.send(verb, target, body)
    assert response.status in (200, 204), response.body
    assert as_json(library.asked) == expected


@pytest.mark.parametrize(
    ("verb", "target", "body", "errors"),
    [
        ("GET", "/v1/echo?nested.nope=1", b"", {"nested.nope": "is not a query parameter"}),
        ("GET", "/v1/echo?nested=1", b"", {"nested": "is not a query parameter"}),
        ("GET", "/v1/echo?nested.an_int32=1", b"",
         {"nested.an_int32": "is not a query parameter; did you mean nested.anInt32?"}),
        ("GET", "/v1/echo?counts=1&counts.a=1&list=x&list.aString=x&aStruct=x&aValue=1", b"",
         dict.fromkeys(("counts", "counts.a", "list", "list.aString", "aStruct", "aValue"), UNKNOWN)),
        ("GET", "/v1/echo?nested.aString=1&nested.aString=2", b"", {"nested.aString": "occurs more than once"}),
        ("GET", "/v1/echo?nested.anInt32=x", b"", {"nested.anInt32": "must be an integer"}),
        ("GET", "/v1/echo?" + "nested." * 40 + "aString=x", b"",
         {("nested." * 40 + "aString")[:100]: UNKNOWN}),
        ("GET", "/v1/echo?colour=3", b"", {"colour": "must be one of UNSPECIFIED, RED, GREEN"}),
        ("GET", "/v1/echo?someBytes=-%2B", b"", {"someBytes": "must be base64"}),
        ("GET", "/v1/echo?either=a&other=1", b"",
         dict.fromkeys(("either", "other"), "must not be given together with its alternatives")),
        ("GET", "/v1/echo?aMask=a_b", b"",
         {"aMask": "must be paths of fields with commas between them, such as a,b.cD"}),
        ("GET", "/v1/deep/%FF", b"", {"nested.nested.aString": "is not UTF-8"}),
        ("GET", "/v1/int32/x", b"", {"anInt32": "must be an integer"}),
        ("PUT", "/v1/echo/x/in", {"nested": {"aString": "y"}},
         {"nested.aString": "is given by the path, not by the body"}),
        ("POST", "/v1/shelves/s/books", b"", {"body": "must be given"}),
        ("POST", "/v1/shelves/s/books", {"name": "n"}, {"title": "must be given"}),
        ("POST", "/v1/shelves/s/books?book.title=x", {"name": "n", "title": "t"},
         {"book.title": "is not a query parameter"}),
        ("PUT", BOOK, {"pages": 1}, {"title": "must be given"}),
        ("POST", f"{BOOK}:update", {}, {"book.title": "must be given"}),
        ("POST", "/v1/body/strings", b'{"strings":["a"]}', {"body": "must be an array"}),
        ("POST", "/v1/body/string", b'{"aString":"a"}', {"body": "must be a string"}),
        ("POST", "/v1/body/list", b'[{"aString":1}]', {"[0].aString": "must be a string"}),
        ("POST", "/v1/body/counts", b'{"a":1,"a":2}', {"a": "occurs more than once"}),
        ("POST", "/v1/echo?aString=x", {}, {"aString": "is not a query parameter"}),
        ("POST", "/v1/mirror?data=x", b"x", {"data": "is not a query parameter"}),
    ],
)  # fmt: skip
async def test_a_wrong_request_is_refused_with_the_name_of_what_is_wrong(
    library: Library, verb: str, target: str, body: Any, errors: dict[str, str]
) -> None:
    assert fields(await library.send(verb, target, body)) == errors
    assert library.requests == []


@pytest.mark.parametrize(
    ("target", "body", "mask"),
    [
        (BOOK, {"title": "t"}, ["title"]),
        (BOOK, {"author": {"homeTown": "x"}, "tags": []}, ["author.home_town", "tags"]),
        (BOOK, {"author": {}}, ["author"]),
        (BOOK, {"author": {"name": "n", "mentor": {"homeTown": "x"}}}, ["author.name", "author.mentor.home_town"]),
        (BOOK, {}, []),
        (BOOK, b"", []),
        (f"{BOOK}?updateMask=pages,author.homeTown", {"title": "t"}, ["pages", "author.home_town"]),
        (f"{BOOK}?updateMask=", {"title": "t"}, []),
    ],
)
async def test_a_patch_without_a_mask_changes_what_it_sends(
    library: Library, target: str, body: Any, mask: list[str]
) -> None:
    assert (await library.send("PATCH", target, body)).status == 200
    assert library.asked.update_mask.paths == mask
    assert library.asked.book.name == "shelves/s1/books/b1"


async def test_a_put_has_no_mask_and_must_be_complete(library: Library) -> None:
    assert (await library.send("PUT", BOOK, {"title": "t"})).status == 200
    assert not library.asked.HasField("update_mask")


async def test_a_file_is_sent_as_it_is(library: Library) -> None:
    octets = b"\x00\xff{not json"
    await library.send("POST", "/v1/saved/a?comment=c", octets, headers=[("Content-Type", "image/png")])
    assert (library.asked.path, library.asked.comment) == ("a", "c")
    assert (library.asked.file.content_type, library.asked.file.data) == ("image/png", octets)
    response = await library.send("POST", "/v1/mirror", octets, headers=[("Content-Type", "text/html; charset=x")])
    assert (response.headers["content-type"], response.body) == ("text/html; charset=x", octets)


async def test_a_file_has_the_limits_of_any_body(library: Library) -> None:
    response = await library.send("POST", "/v1/mirror", b"x" * (1024 * 1024 + 1), headers=[("Content-Type", "a/b")])
    assert response.status == 413
    compressed = [("Content-Type", "a/b"), ("Content-Encoding", "gzip")]
    assert (await library.send("POST", "/v1/mirror", b"x", headers=compressed)).status == 415


async def test_answers_are_the_part_that_the_rule_names(library: Library) -> None:
    book = {"name": "n", "title": "t"}
    reply = message("ListBooksResponse")(books=[book], total=7, first=book, counts={"a": 1})
    library.behaviours["ListBooks"] = lambda _: reply
    written = {"name": "n", "title": "t", "tags": []}
    for part, expected in {"plain": [written], "total": 7, "first": written, "counts": {"a": 1}}.items():
        response = await library.send("GET", f"/v1/shelves/s/{part}")
        assert (response.headers["content-type"], response.json) == ("application/json", expected)


@pytest.mark.parametrize(
    ("given", "sent"),
    [("text/csv", "text/csv"), ("", "application/octet-stream"), ("a/b\r\nx: y", "application/octet-stream")],
)
async def test_a_file_comes_as_it_is(library: Library, given: str, sent: str) -> None:
    reply = message("ReadFileResponse")(file={"content_type": given, "data": b"\xff\x00"}, etag="e")
    library.behaviours["ReadFile"] = lambda _: reply
    response = await library.send("GET", "/v1/contents/a/b")
    assert (response.headers["content-type"], response.body) == (sent, b"\xff\x00")
