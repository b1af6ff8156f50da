"""Whatever is sent, the transcoder reads it as protobuf's own JSON would, or refuses it; it never fails."""

import json
from typing import Any
from urllib.parse import quote

import pytest
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from souk.descriptors.contract import contract_of
from souk.descriptors.http_rule import HttpRule
from souk.descriptors.path_template import Template
from souk.descriptors.protojson.names import enum_names
from souk.gateway.http.problem import Problem
from souk.gateway.http.request import Request
from souk.gateway.http.routes import Router
from souk.gateway.settings import GatewaySettings
from souk.gateway.transcoding.transcoder import Transcoder
from tests.gateway.transcoding.conftest import Library
from tests.library import LIBRARY, message
from tests.properties import examples

RELAXED = settings(
    max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
Everything = message("Everything")
CONTRACT = contract_of(LIBRARY)
TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=8)
SAFE = st.integers(-(2**53) + 1, 2**53 - 1)
SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "a_string": TEXT,
    "an_int32": st.integers(-(2**31), 2**31 - 1),
    "an_int64": SAFE,
    "an_uint32": st.integers(0, 2**32 - 1),
    "an_uint64": st.integers(0, 2**53 - 1),
    "a_sint32": st.integers(-(2**31), 2**31 - 1),
    "a_bool": st.booleans(),
    "a_float": st.floats(width=32, allow_nan=False, allow_infinity=False),
    "a_double": st.floats(allow_nan=False, allow_infinity=False),
    "some_bytes": st.binary(max_size=6),
    "colour": st.sampled_from([0, 1, 2]),
    "strings": st.lists(TEXT, max_size=3),
    "numbers": st.lists(st.integers(-(2**31), 2**31 - 1), max_size=3),
    "colours": st.lists(st.sampled_from([0, 1, 2]), max_size=3),
    "either": TEXT,
    "bracketed": TEXT,
    "a_wrapped_string": TEXT.map(lambda text: {"value": text}),
    "a_wrapped_int64": SAFE.map(lambda number: {"value": number}),
    "a_time": st.builds(
        lambda seconds, nanos: {"seconds": seconds, "nanos": nanos},
        st.integers(-62135596800, 253402300799),
        st.integers(0, 10**9 - 1),
    ),
    "a_duration": st.builds(lambda seconds: {"seconds": seconds}, st.integers(-(10**9), 10**9)),
    "a_mask": st.lists(st.sampled_from(["a", "b_c.d", "nested.a_string"]), max_size=2).map(
        lambda paths: {"paths": paths}
    ),
}
ONES = st.fixed_dictionaries({}, optional=SCALARS)
QUERIES = st.recursive(
    ONES, lambda inner: st.builds(lambda one, nested: {**one, "nested": nested}, ONES, inner), max_leaves=3
)
BODIES = st.recursive(
    ONES,
    lambda inner: st.builds(
        lambda one, more: {**one, **more},
        ONES,
        st.fixed_dictionaries(
            {},
            optional={
                "nested": inner,
                "list": st.lists(inner, max_size=2),
                "counts": st.dictionaries(TEXT, st.integers(-9, 9), max_size=2),
                "by_number": st.dictionaries(st.integers(-9, 9), ONES.map(lambda one: Everything(**one)), max_size=1),
            },
        ),
    ),
    max_leaves=3,
)


def as_souk_reads(value: Any, descriptor: Descriptor) -> Any:
    """Returns protobuf's JSON as Souk has it: enum values without their prefix, 64-bit integers as numbers."""
    fields = {field.json_name: field for field in descriptor.fields}
    return {name: _field(item, fields[name]) for name, item in value.items()}


def _field(value: Any, field: FieldDescriptor) -> Any:
    if isinstance(value, list):
        return [_one(item, field) for item in value]
    if field.name == "by_number":
        return {name: as_souk_reads(item, Everything.DESCRIPTOR) for name, item in value.items()}
    return _one(value, field)


def _one(value: Any, field: FieldDescriptor) -> Any:
    if field.enum_type is not None:
        return enum_names(field.enum_type)[field.enum_type.values_by_name[value].number]
    if field.message_type is not None and field.message_type.full_name == Everything.DESCRIPTOR.full_name:
        return as_souk_reads(value, Everything.DESCRIPTOR)
    return int(value) if field.name in ("an_int64", "an_uint64", "a_wrapped_int64") else value


def written(asked: Message) -> Any:
    return as_souk_reads(json_format.MessageToDict(asked), Everything.DESCRIPTOR)


@given(BODIES)
@RELAXED
async def test_a_body_means_what_it_means_to_protobuf(library: Library, arguments: dict[str, Any]) -> None:
    library.requests.clear()
    sent = Everything(**arguments)
    response = await library.send("POST", "/v1/echo", json.dumps(written(sent)).encode())
    assert response.status == 200, response.body
    assert library.asked == sent
    again = await library.send("POST", "/v1/echo", response.body)  # what is written can be read
    assert (again.status, library.asked, again.json) == (200, sent, response.json)


@given(QUERIES)
@RELAXED
async def test_a_query_means_what_the_body_means(library: Library, arguments: dict[str, Any]) -> None:
    sent = Everything(**arguments)
    query = "&".join(f"{quote(key)}={quote(text)}" for key, text in flattened(written(sent), ""))
    response = await library.send("GET", f"/v1/echo?{query}")
    assert response.status == 200, response.body
    assert without_empty(library.asked) == without_empty(sent)


def flattened(value: Any, prefix: str) -> Any:
    for key, item in value.items():
        if isinstance(item, dict):
            yield from flattened(item, f"{prefix}{key}.")
        else:
            for one in item if isinstance(item, list) else [item]:
                yield prefix + key, {True: "true", False: "false"}[one] if isinstance(one, bool) else str(one)


def without_empty(asked: Any) -> Any:
    """Returns a message without nested messages that have no field: a query cannot tell them."""
    copy = type(asked)()
    copy.CopyFrom(asked)
    if copy.HasField("nested"):
        inner = without_empty(copy.nested)
        if inner == type(copy)():
            copy.ClearField("nested")
        else:
            copy.nested.CopyFrom(inner)
    return copy


@given(TEXT.filter(bool), TEXT)
@RELAXED
async def test_a_path_means_what_was_put_into_it(library: Library, text: str, rest: str) -> None:
    await library.send("PUT", Template.parse("/v1/echo/{a_string}").expand([text]), b"{}")
    assert library.asked.a_string == text
    await library.send("GET", Template.parse("/v1/files/{path=**}").expand([rest]))
    assert library.asked.path == rest


ROUTES = [
    (rule.verb, Template.parse(rule.path))
    for method in CONTRACT.methods.values()
    if method.unary
    for rule in method.http
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([f.json_name for f in Everything.DESCRIPTOR.fields]) | st.text(max_size=5), inner
        )
    ),
    max_leaves=8,
)
KEYS = st.sampled_from(
    [field.json_name for field in Everything.DESCRIPTOR.fields] + ["updateMask", "nested.nested.list"]
)
NASTY = st.sampled_from(
    [b'{"aString":"a","aString":"b"}', b'{"aDouble":NaN}', b'{"aDouble":-Infinity}',
     b'{"anInt64":1' + b"0" * 5_000 + b"}",
     b'{"aDouble":1e999999999}', b'{"aString":"\xff"}', b'{"nested":' * 2_000 + b"{}" + b"}" * 2_000, b"[" * 50_000,
     b'{"aStruct":' + b'{"a":' * 100 + b"1" + b"}" * 101, b"\xef\xbb\xbf{}", b'{"aString":"\\ud800"}', b"{}" * 9,
     b'{"aValue":' + b"[" * 60 + b"]" * 60 + b"}", b'{"counts":{"a":1,"\\u0061":2}}']
)  # fmt: skip


@given(st.data(), st.sampled_from(ROUTES))
@RELAXED
async def test_no_request_makes_it_fail(library: Library, data: Any, route: tuple[str, Template]) -> None:
    verb, template = route
    texts = st.binary(max_size=6).map(lambda raw: quote(raw)) | TEXT.map(quote) | st.sampled_from(["%", ":", "1", ""])
    filled = "/".join(data.draw(texts) if segment in ("*", "**") else segment for segment in template.segments)
    pairs = data.draw(
        st.lists(st.tuples(KEYS | TEXT.map(quote), TEXT.map(quote) | st.binary(max_size=4).map(quote)), max_size=3)
    )
    target = (
        f"/{filled}{':' + template.verb if template.verb else ''}?{'&'.join(f'{key}={value}' for key, value in pairs)}"
    )
    body = data.draw(NASTY | st.binary(max_size=20) | JSON.map(lambda value: json.dumps(value).encode()))
    response = await library.send("GET" if verb == "*" else verb, target, body)
    assert 200 <= response.status < 500, (target, body, response.body)


FIELDS = ["a_string", "nested.a_string", "nested.nested.an_int32", "strings", "counts", "nested", "nope", "a_time"]
PIECES = st.sampled_from(
    ["v1", "a", "*", "**", *(f"{{{field}}}" for field in FIELDS), "{a_string=a/*}", "{a_string=**}"]
)
PATHS = st.builds(
    lambda pieces, verb: "/" + "/".join(pieces) + verb, st.lists(PIECES, max_size=4), st.sampled_from(["", ":do"])
)
RULES = st.builds(
    HttpRule,
    st.sampled_from(["GET", "PATCH", "POST", "*"]),
    PATHS,
    st.sampled_from(["", "*", "nested", "strings", "counts", "a_string", "list", "nope", "a_value"]),
    st.sampled_from(["", "nested", "strings", "counts", "colour", "nope", "a_time"]),
)


@given(RULES, st.lists(TEXT.map(quote), max_size=5), st.binary(max_size=9), JSON)
@RELAXED
async def test_any_rule_is_refused_or_works(rule: HttpRule, segments: list[str], query: bytes, value: Any) -> None:
    method = CONTRACT.methods["/souktest.library.v1.Library/Echo"]
    router: Router[Transcoder] = Router()
    try:
        router.add(rule.verb, rule.path, Transcoder(method, rule))
    except ValueError:
        return
    found = router.find("/" + "/".join(segments))
    if found is None:
        return
    transcoder = found[0].endpoint(rule.verb)
    assert transcoder is not None
    try:
        asked = await transcoder.request(_request(query, json.dumps(value).encode()), found[1])
    except Problem as problem:
        status, expected = problem.status, 400
    else:
        status, expected = transcoder.answer(asked).status, 200
    assert status == expected


def _request(query: bytes, body: bytes) -> Request:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    scope = {"type": "http", "method": "POST", "path": "/", "query_string": query, "headers": headers}
    return Request(scope, receive, GatewaySettings())


@pytest.mark.parametrize(
    "body", ["[" * 500_000, '{"aString":"' + "\\u0041" * 80_000 + '"}', '{"numbers":[' + "1," * 200_000 + "1]}"]
)
async def test_a_huge_body_is_read_or_refused(library: Library, body: str) -> None:
    assert (await library.send("POST", "/v1/echo", body.encode())).status in (200, 400)
