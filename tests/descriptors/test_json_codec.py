"""JSON in and out of messages: exact, strict, and each violation under its path."""

import contextlib
import json
import math
import re
import time
from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given, settings
from hypothesis import strategies as st
from shop.order.v1 import order_pb2
from shop.payment.v1 import payment_pb2

from souk.descriptors.openapi.json_schema import INTEGER_TEXT
from souk.descriptors.protojson.names import lower_camel
from souk.descriptors.protojson.reader import JsonReader
from souk.descriptors.protojson.walk import MAX_DEPTH, MAX_VIOLATIONS
from souk.descriptors.protojson.writer import dumps, writer_of
from souk.kernel.errors import InvalidArgument
from souk.store.idempotency import fingerprint
from souk.testing.sample_contract import sample_messages
from tests.properties import examples

Everything, Child = sample_messages()
ORDER = JsonReader(order_pb2.PlaceOrderRequest.DESCRIPTOR)
SAMPLE = JsonReader(Everything.DESCRIPTOR)
SAFE = 2**53 - 1
BODY = {
    "items": [{"productId": "P-101", "quantity": 2, "price": 1200}],
    "shippingAddressId": "ADDR-55",
    "paymentMethod": "card",
    "idempotencyKey": "uuid-client-generated-key",
}


def violations(reader: JsonReader, body: bytes | object) -> dict[str, str]:
    with pytest.raises(InvalidArgument) as caught:
        reader.read(body if isinstance(body, bytes) else json.dumps(body).encode())
    return {violation.field: violation.detail for violation in caught.value.violations}


def written(message: Any) -> Any:
    return json.loads(dumps(writer_of(message.DESCRIPTOR)(message)))


def test_an_order_is_read() -> None:
    request = order_pb2.PlaceOrderRequest(**ORDER.read(json.dumps(BODY).encode()))
    assert request == json_format.ParseDict(BODY, order_pb2.PlaceOrderRequest())


def test_zero_values_are_written_and_unset_optional_fields_are_not() -> None:
    order = order_pb2.Order(id="ORD-1", status=order_pb2.ORDER_STATUS_CONFIRMED, created_at=Timestamp(seconds=0))
    assert written(order) == {
        "id": "ORD-1",
        "status": "CONFIRMED",
        "items": [],
        "total": 0,
        "currency": "",
        "shippingAddressId": "",
        "paymentMethod": "",
        "refundedTotal": 0,
        "createdAt": "1970-01-01T00:00:00Z",
    }
    assert written(order_pb2.Order(retryable=False))["retryable"] is False


def test_fields_keep_the_order_of_the_contract() -> None:
    order = order_pb2.Order(payment_id="PAY-1")
    assert list(writer_of(order.DESCRIPTOR)(order))[5:9] == [
        "shippingAddressId",
        "paymentMethod",
        "paymentId",
        "refundedTotal",
    ]


def test_an_integer_that_clients_would_round_is_never_written() -> None:
    with pytest.raises(TypeError):
        written(order_pb2.Order(total=SAFE + 1))


def test_nan_is_never_written() -> None:
    with pytest.raises(ValueError):
        written(Everything(a_double=math.nan))


def test_a_float_is_written_short() -> None:
    assert written(Everything(a_float=0.1))["aFloat"] == 0.1


def test_an_enum_value_of_a_newer_contract_comes_through() -> None:
    assert written(Child(colour=7))["colour"] == 7


@pytest.mark.parametrize(
    ("change", "field", "detail"),
    [
        ({"product_id": 1}, "product_id", "is not a field"),
        ({"payment_method": "card"}, "payment_method", "is not a field; did you mean paymentMethod?"),
        ({"items": {}}, "items", "must be an array"),
        ({"items": None}, "items", "must be an array"),
        ({"items": [1]}, "items[0]", "must be an object"),
        ({"paymentMethod": None}, "paymentMethod", "must be a string"),
        ({"paymentMethod": 1}, "paymentMethod", "must be a string"),
        ({"paymentMethod": "a\0"}, "paymentMethod", "must not contain U+0000"),
        ({"items": [BODY["items"][0], {"productId": "P", "price": 1}]}, "items[1].quantity", "must be given"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, object], field: str, detail: str) -> None:
    assert violations(ORDER, {**BODY, **change}) == {field: detail}


def with_quantity(text: str) -> bytes:
    body = json.dumps({**BODY, "items": [{"productId": "P", "quantity": "?", "price": 1}]})
    return body.replace('"?"', text).encode()


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        *((text, "must be an integer") for text in ("1.5", "-0.1", "5e-1", "true", '"1"', "null", "[]")),
        *((text, f"must be from {-SAFE} to {SAFE}") for text in (f"{SAFE + 1}.0", "1e16", "-1e300", "9" * 23)),
    ],
)
def test_an_integer_is_an_integer(text: str, detail: str) -> None:
    assert violations(ORDER, with_quantity(text)) == {"items[0].quantity": detail}


@pytest.mark.parametrize(
    ("text", "number"),
    [("2.0", 2), ("1e3", 1000), ("12.50e1", 125), ("-0.0", 0), (f"{SAFE}.0", SAFE), (f"-{SAFE}.0", -SAFE)],
)
def test_an_integer_may_be_written_as_any_json_number(text: str, number: int) -> None:
    quantity = ORDER.read(with_quantity(text))["items"][0]["quantity"]
    assert (quantity, type(quantity)) == (number, int)


def test_however_a_number_is_written_the_request_is_the_same() -> None:
    one, other = (order_pb2.PlaceOrderRequest(**ORDER.read(with_quantity(text))) for text in ("2", "2.0"))
    assert fingerprint(one, "idempotency_key") == fingerprint(other, "idempotency_key")


@pytest.mark.parametrize("number", [SAFE + 1, -SAFE - 1, 2**63, 2**64 - 1, -(2**63)])
def test_integers_beyond_the_safe_range_are_refused(number: int) -> None:
    item = {"productId": "P", "quantity": number, "price": SAFE}
    assert violations(ORDER, {**BODY, "items": [item]}) == {"items[0].quantity": f"must be from {-SAFE} to {SAFE}"}


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"nul", b'{"a":NaN}', b'{"a":Infinity}', b"\xff{}", b'{"a":"\xff"}', b'\xef\xbb\xbf{"a":1}',
     b'{"paymentMethod":"\\ud800"}', b"{} {}", b"'a'", b"[" * 100_000, b'{"a":' * 100_000, b'{"a":01}', b'{"a":1,}'],
)  # fmt: skip
def test_what_is_not_json_is_refused(body: bytes) -> None:
    assert list(violations(ORDER, body)) == ["body"]


@pytest.mark.parametrize("body", [b"[]", b"1", b"null", b'"x"', b"true"])
def test_a_body_is_an_object(body: bytes) -> None:
    assert violations(ORDER, body) == {"body": "must be an object"}


def test_every_missing_field_is_named() -> None:
    assert set(violations(ORDER, {})) == {"shippingAddressId", "paymentMethod", "idempotencyKey"}


def test_a_field_of_the_path_is_not_one_of_the_body() -> None:
    reader = JsonReader(payment_pb2.RefundPaymentRequest.DESCRIPTOR, elsewhere=["id"], waived=["idempotency_key"])
    assert reader.read(b'{"amount":1,"reason":"r"}') == {"amount": 1, "reason": "r"}
    assert violations(reader, {"id": "x", "amount": 1, "reason": "r"}) == {
        "id": "is given by the path, not by the body"
    }


def test_violations_are_not_endless() -> None:
    assert len(violations(ORDER, {f"x{number}": 1 for number in range(1000)})) == MAX_VIOLATIONS


@pytest.mark.parametrize(
    "body", [b'{"items":[' + b"{}," * 100_000 + b"{}]}", json.dumps({f"x{n}": n for n in range(50_000)}).encode()]
)
def test_a_wrong_body_is_not_read_to_its_end(body: bytes) -> None:
    began = time.process_time()
    assert len(violations(ORDER, body)) == MAX_VIOLATIONS
    assert time.process_time() - began < 0.25


def test_a_clients_name_is_not_repeated_without_end() -> None:
    assert all(len(field) <= 100 for field in violations(ORDER, {**BODY, "x" * 10_000: 1}))


def test_alternatives_exclude_each_other() -> None:
    assert set(violations(SAMPLE, {"left": "a", "right": 1})) == {"left", "right"}
    assert Everything(**SAMPLE.read(b'{"left":""}')).WhichOneof("choice") == "left"


def test_nesting_ends() -> None:
    deep: dict[str, object] = {"childName": "c", "age": 1, "colour": "RED"}
    for _ in range(MAX_DEPTH + 5):
        deep = {**deep, "nextChild": deep}
    assert "is nested too deeply" in violations(SAMPLE, {"aChild": deep}).values()
    struct: object = 1
    for _ in range(MAX_DEPTH + 5):
        struct = {"a": struct}
    assert set(violations(SAMPLE, {"aStruct": {"a": struct}}).values()) == {"is nested too deeply"}


def test_the_deepest_struct_that_is_read_survives_the_wire() -> None:
    struct: object = 1
    for _ in range(MAX_DEPTH - 1):
        struct = {"a": struct}
    message = Everything(**SAMPLE.read(json.dumps({"aStruct": struct}).encode()))
    assert Everything.FromString(message.SerializeToString()) == message


@pytest.mark.parametrize(
    ("field", "value", "detail"),
    [
        ("aTime", "2030-02-30T00:00:00Z", "must be a time such as 2030-01-31T12:00:00Z"),
        ("aTime", "2030-02-20T00:00:00", "must be a time such as 2030-01-31T12:00:00Z"),
        ("aTime", 1, "must be a time such as 2030-01-31T12:00:00Z"),
        ("aTime", "9999-12-31T23:59:59-01:00", "must be from year 1 to 9999 in UTC"),
        ("aTime", "0001-01-01T00:00:00+01:00", "must be from year 1 to 9999 in UTC"),
        ("aDuration", "1", "must be a duration in seconds such as 3.5s"),
        ("aDuration", "315576000000.5s", "must be from -315576000000s to 315576000000s"),
        ("aDuration", "-315576000000.000000001s", "must be from -315576000000s to 315576000000s"),
        ("aDuration", "315576000001s", "must be from -315576000000s to 315576000000s"),
        ("someBytes", "a", "must be base64"),
        ("someBytes", "ä", "must be base64"),
        ("aBool", 1, "must be true or false"),
        ("aFloat", 1e300, "is out of range"),
        ("aDouble", "1", "must be a number"),
        ("aDouble", True, "must be a number"),
        ("anInt32", 2.0**31, "must be from -2147483648 to 2147483647"),
        ("anUint32", -1.0, "must be from 0 to 4294967295"),
        ("aWrapper", 0.5, "must be an integer"),
        ("anInt32", 2**31, "must be from -2147483648 to 2147483647"),
        ("anUint32", -1, "must be from 0 to 4294967295"),
        ("colour", ["RED", "COLOUR_RED"], None),
        ("counts", {"a": "1"}, None),
        ("counts", [], "must be an object"),
        ("byNumber", {"01": {"childName": "", "age": 1, "colour": "RED"}}, None),
        ("flags", {"yes": ""}, None),
        ("aStruct", [], "must be an object"),
        ("aStruct", {"a": SAFE + 1}, None),
        ("aStruct", {"a": {"b\0": 1}}, None),
        ("aList", {}, "must be an array"),
        ("aWrapper", "1", "must be an integer"),
    ],
)
def test_values_of_every_kind_are_checked(field: str, value: object, detail: str | None) -> None:
    found = violations(SAMPLE, {field: value})
    assert all(path.startswith(field) for path in found)
    assert detail is None or found == {field: detail}


def test_an_offset_is_turned_into_utc() -> None:
    message = Everything(**SAMPLE.read(b'{"aTime":"2030-01-31T12:00:00.25+02:00"}'))
    assert written(message)["aTime"] == "2030-01-31T10:00:00.250Z"


@st.composite
def _times(draw: st.DrawFn) -> str:
    year, month, day = draw(st.sampled_from(["0001-01-01", "9999-12-31", "2024-02-29", "1969-12-31"])).split("-")
    hour, minute = draw(st.integers(0, 23)), draw(st.integers(0, 59))
    fraction = draw(st.sampled_from(["", ".5", ".999999999", ".000000001"]))
    offset = draw(st.sampled_from(["Z", "+00:00", "-00:00", "+01:00", "-01:00", "+23:59", "-23:59"]))
    return f"{year}-{month}-{day}T{hour:02}:{minute:02}:59{fraction}{offset}"


@st.composite
def _durations(draw: st.DrawFn) -> str:
    seconds = draw(st.sampled_from([0, 1, 315_575_999_999, 315_576_000_000, 315_576_000_001, 999_999_999_999]))
    fraction = draw(st.sampled_from(["", ".0", ".5", ".999999999", ".000000001"]))
    return f"{draw(st.sampled_from(['', '-']))}{seconds}{fraction}s"


@given(_times(), _durations())
@settings(max_examples=examples(300), deadline=None)
def test_a_time_or_duration_that_is_accepted_can_be_written_and_reads_back_the_same(moment: str, duration: str) -> None:
    for field, text in (("aTime", moment), ("aDuration", duration)):
        with contextlib.suppress(InvalidArgument):
            message = Everything(**SAMPLE.read(json.dumps({field: text}).encode()))
            assert Everything(**SAMPLE.read(dumps(writer_of(Everything.DESCRIPTOR)(message)))) == message
            assert json_format.Parse(json_format.MessageToJson(message), Everything()) == message


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("aTime", "0001-01-01T00:00:00Z"),
        ("aTime", "9999-12-31T23:59:59.999999999Z"),
        ("aDuration", "315576000000s"),
        ("aDuration", "-315576000000s"),
        ("aDuration", "-0.500s"),
    ],
)
def test_the_first_and_the_last_time_and_duration_are_read(field: str, text: str) -> None:
    assert written(Everything(**SAMPLE.read(json.dumps({field: text}).encode())))[field] == text


def test_names() -> None:
    assert lower_camel("items[0].product_id") == "items[0].productId"
    assert lower_camel("plain") == "plain"


_text = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=8)
_json = st.recursive(
    st.none() | st.booleans() | st.integers(-SAFE, SAFE) | st.floats(allow_nan=False, allow_infinity=False) | _text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_text, inner, max_size=3),
    max_leaves=8,
)
_child = st.builds(
    lambda name, age, colour: {"child_name": name, "age": age, "colour": colour},
    _text, st.integers(-(2**31), 2**31 - 1), st.sampled_from([0, 1, 2]),
)  # fmt: skip
_FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "a_double": st.floats(allow_nan=False, allow_infinity=False),
    "a_float": st.floats(allow_nan=False, allow_infinity=False, width=32),
    "an_int64": st.integers(-SAFE, SAFE),
    "an_uint64": st.integers(0, SAFE),
    "a_bool": st.booleans(),
    "a_string": _text,
    "some_bytes": st.binary(max_size=8),
    "a_time": st.builds(Timestamp, seconds=st.integers(-62135596800, 253402300799), nanos=st.integers(0, 999_999_999)),
    "a_wrapper": st.builds(lambda value: {"value": value}, st.integers(-SAFE, SAFE)),
    "a_child": _child,
    "children": st.lists(_child, max_size=3),
    "many_an_int64": st.lists(st.integers(-SAFE, SAFE), max_size=3),
    "colour": st.lists(st.sampled_from([0, 1, 2]), max_size=3),
    "counts": st.dictionaries(_text, st.integers(-SAFE, SAFE), max_size=3),
    "flags": st.dictionaries(st.booleans(), _text, max_size=2),
    "by_number": st.dictionaries(
        st.integers(-(2**31), 2**31 - 1), _child.map(lambda child: Child(**child)), max_size=3
    ),
}


@given(st.fixed_dictionaries({}, optional=_FIELDS))
@settings(max_examples=examples(300), deadline=None)
def test_what_is_written_reads_back_the_same(fields: dict[str, Any]) -> None:
    message = Everything(**fields)
    assert Everything(**SAMPLE.read(dumps(writer_of(Everything.DESCRIPTOR)(message)))) == message


@given(st.dictionaries(_text, _json, max_size=4))
@settings(max_examples=examples(300), deadline=None)
def test_a_struct_means_what_pythons_reader_says(value: dict[str, Any]) -> None:
    message = Everything(**SAMPLE.read(json.dumps({"aStruct": value}).encode()))
    expected = Struct()
    json_format.ParseDict(value, expected)
    assert message.a_struct == expected


class _Twice(ValueError):
    pass


def _reference(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) != len(pairs):
        raise _Twice
    return dict(pairs)


_name = st.sampled_from(["a", "b", "a:b", 'a"', '":', "\\", "\\u0061", "A", "é", "e\u0301", ""])


@st.composite
def _spelled(draw: st.DrawFn, text: str) -> str:
    """One of the many ways in which JSON can write a string."""
    if draw(st.booleans()):
        return "".join(f"\\u{ord(letter):04x}" for letter in text).join('""')
    return json.dumps(text, ensure_ascii=draw(st.booleans()))


@st.composite
def _texts(draw: st.DrawFn, depth: int = 0) -> str:
    space = draw(st.sampled_from(["", " ", "\n\t"]))
    kind = draw(st.sampled_from(["object", "array", "string"])) if depth < 3 else "string"
    if kind == "string":
        return str(draw(_spelled(draw(_name))))
    inner = [draw(_texts(depth + 1)) for _ in range(draw(st.integers(0, 3)))]
    if kind == "array":
        return f"[{(space + ',').join(inner)}]"
    return "{" + ",".join(f"{draw(_spelled(draw(_name)))}{space}:{space}{value}" for value in inner) + "}"


@given(_texts())
@settings(max_examples=examples(1000), deadline=None)
def test_duplicate_keys_are_found_exactly_when_there_are_any(text: str) -> None:
    body = f'{{"aValue":{text}}}'.encode()
    try:
        expected = json.loads(body, object_pairs_hook=_reference)
    except _Twice:
        assert set(violations(SAMPLE, body).values()) == {"occurs more than once"}
    else:
        assert written(Everything(**SAMPLE.read(body)))["aValue"] == expected["aValue"]


def test_a_duplicate_is_named() -> None:
    body = json.dumps(BODY).replace('"price": 1200', '"price": 1200, "pr\\u0069ce": 1').encode()
    assert violations(ORDER, body) == {"items[0].price": "occurs more than once"}


_CHILD = '{"childName":"","age":1,"colour":"RED"}'


@pytest.mark.parametrize("keys", [("0", "-0"), ("-0", "0"), ("-0", "7", "0")])
def test_two_spellings_of_one_key_are_a_duplicate(keys: tuple[str, ...]) -> None:
    body = json.dumps({"byNumber": {key: json.loads(_CHILD) for key in keys}}).encode()
    assert violations(SAMPLE, body) == {f"byNumber.{keys[-1]}": "occurs more than once"}


@pytest.mark.parametrize(
    "key", ["0", "-0", "7", "-7", "00", "-00", "07", "+7", "7.0", "7e0", " 7", "7\n", "", "-", "\u0667", "0x7"]
)
def test_the_openapi_document_and_the_reader_agree_on_the_spelling_of_a_number_as_a_key(key: str) -> None:
    body = json.dumps({"byNumber": {key: json.loads(_CHILD)}}).encode()
    # In the dialect of JSON Schema a $ matches at the very end only.
    if re.search(INTEGER_TEXT.replace("$", r"\Z"), key):
        assert list(Everything(**SAMPLE.read(body)).by_number) == [int(key)]
        # protobuf's own reader takes the same keys, -0 among them, and more.
        assert list(json_format.ParseDict({"byNumber": {key: {}}}, Everything()).by_number) == [int(key)]
    else:
        assert list(violations(SAMPLE, body)) == [f"byNumber.{key}".rstrip(".")]


@given(st.binary(max_size=60) | st.dictionaries(_text, _json, max_size=3).map(lambda v: json.dumps(v).encode()))
@settings(max_examples=examples(500), deadline=None)
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    for reader in (ORDER, SAMPLE):
        with contextlib.suppress(InvalidArgument):
            reader.read(body)
