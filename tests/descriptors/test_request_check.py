"""A request is held to the limits of its contract, and the schema says the same limits."""

from collections.abc import Mapping

import jsonschema_rs
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from shop.order.v1 import order_pb2
from soukapi.v1 import policy_pb2
from soukapi.v1.policy_pb2 import FORMAT_ASCII, FORMAT_EMAIL, FORMAT_LINE, FieldPolicy

from souk.descriptors.contract import contract_of
from souk.descriptors.openapi.json_schema import Schemas
from souk.descriptors.request_check import decoder_of, require_within_limits
from souk.kernel.errors import InvalidArgument

Field = descriptor_pb2.FieldDescriptorProto


def limited_by(limits: Mapping[str, FieldPolicy], kind: int = Field.TYPE_STRING, **options: bool) -> type[Message]:
    """A message type whose fields have limits, in a pool of its own."""
    file = descriptor_pb2.FileDescriptorProto(name="limited.proto", package="limited", syntax="proto3")
    message = file.message_type.add(name="Limited")
    for name, policy in limits.items():
        label = Field.LABEL_REPEATED if options.get("repeated") else Field.LABEL_OPTIONAL
        field = message.field.add(name=name, number=len(message.field) + 1, type=kind, label=label)
        field.options.Extensions[policy_pb2.field].CopyFrom(policy)
        if options.get("optional"):
            message.oneof_decl.add(name=f"_{name}")
            field.proto3_optional, field.oneof_index = True, len(message.oneof_decl) - 1
    nested = message.field.add(name="inner", number=100, type=Field.TYPE_MESSAGE, label=Field.LABEL_OPTIONAL)
    nested.type_name = ".limited.Limited"
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return GetMessageClass(pool.FindMessageTypeByName("limited.Limited"))


def violations(message: Message) -> dict[str, str]:
    try:
        require_within_limits(message)
    except InvalidArgument as refused:
        return {violation.field: violation.detail for violation in refused.violations}
    return {}


TEXTS = [
    (FieldPolicy(max_length=3), ["", "abc", "äöü", "a\n"], ["abcd", "\0"], "must be at most 3 characters"),
    (FieldPolicy(min_length=1), ["a", " "], [""], "must not be empty"),
    (FieldPolicy(min_length=2, max_length=3), ["ab", "abc"], ["a", "abcd"], "must be 2 to 3 characters"),
    (
        FieldPolicy(min_length=1, max_length=3, format=FORMAT_ASCII),
        ["~", " "],
        ["", "ä", "a\n", "\x7f"],
        "must be 1 to 3 printable ASCII characters",
    ),
    (
        FieldPolicy(max_length=9, format=FORMAT_LINE),
        ["", "Zoë", " a ", "\u3000x"],
        [" ", "\u2003", "a\nb", "a\x85", "a\u2028", "\x7f"],
        "must be one visible line of at most 9 characters",
    ),
    (
        FieldPolicy(max_length=254, format=FORMAT_EMAIL),
        ["a@b", "mina+1@souk.test", "o'neil@x-y.example", f"{'a' * 64}@b"],
        ["", "a", "@b", "a@", "a..b@c", ".a@b", "a@b.", "a@-b", "a@b\n", f"{'a' * 65}@b", f"{'a@' + 'b' * 64}"],
        "must be an email address",
    ),
    (
        FieldPolicy(pattern="^[A-Z]{3}$", message="must be a code"),
        ["EUR"],
        ["", "eur", "EURO", "EUR\n"],
        "must be a code",
    ),
]


@pytest.mark.parametrize(("policy", "right", "wrong", "words"), TEXTS, ids=lambda value: str(value)[:40])
def test_texts(policy: FieldPolicy, right: list[str], wrong: list[str], words: str) -> None:
    limited = limited_by({"name": policy})
    assert [text for text in right if violations(limited(name=text))] == []
    for text in wrong:
        assert violations(limited(name=text)) == {"name": words}


@pytest.mark.parametrize(("policy", "right", "wrong", "words"), TEXTS, ids=lambda value: str(value)[:40])
def test_the_schema_says_the_same(policy: FieldPolicy, right: list[str], wrong: list[str], words: str) -> None:
    field = limited_by({"name": policy}).DESCRIPTOR.fields_by_name["name"]
    schema = jsonschema_rs.validator_for(Schemas({}).scalar(field, request=True), validate_formats=True)
    assert [text for text in right if not schema.is_valid(text)] == []
    assert [text for text in wrong if schema.is_valid(text)] == []


@pytest.mark.parametrize(
    ("policy", "right", "wrong", "words"),
    [
        (FieldPolicy(minimum=1, maximum=3), [1, 3], [0, 4, -1], "must be 1 to 3"),
        (FieldPolicy(minimum=0), [0, 2**62], [-1], "must be at least 0"),
        (FieldPolicy(maximum=0), [0, -(2**63)], [1], "must be at most 0"),
    ],
    ids=str,
)
def test_integers(policy: FieldPolicy, right: list[int], wrong: list[int], words: str) -> None:
    limited = limited_by({"number": policy}, Field.TYPE_INT64)
    assert [number for number in right if violations(limited(number=number))] == []
    for number in wrong:
        assert violations(limited(number=number)) == {"number": words}


def test_items_and_each_of_them() -> None:
    limited = limited_by({"names": FieldPolicy(min_items=1, max_items=2, max_length=1)}, repeated=True)
    assert violations(limited(names=["a", "b"])) == {}
    assert violations(limited()) == violations(limited(names="abc")) == {"names": "must hold 1 to 2 items"}
    assert violations(limited(names=["a", "bb"])) == {"names[1]": "must be at most 1 characters"}


def test_what_is_optional_and_not_given_is_not_checked() -> None:
    limited = limited_by({"name": FieldPolicy(min_length=1)}, optional=True)
    assert violations(limited()) == {}
    assert violations(limited(name="")) == {"name": "must not be empty"}


def test_a_message_in_a_message() -> None:
    limited = limited_by({"name": FieldPolicy(min_length=1)})
    assert violations(limited(name="a", inner=limited(inner=limited(name="a")))) == {"inner.name": "must not be empty"}


def test_everything_is_named_at_once_within_reason() -> None:
    item = order_pb2.OrderItem(product_id="", quantity=0, price=-1)
    found = violations(order_pb2.PlaceOrderRequest(items=[item, item]))
    assert set(found) == {
        *(f"items[{place}].{name}" for place in (0, 1) for name in ("product_id", "quantity", "price")),
        "shipping_address_id",
        "payment_method",
        "idempotency_key",
    }
    assert len(violations(order_pb2.PlaceOrderRequest(items=[item] * 100))) == 100


def test_a_decoder_checks_only_what_has_limits() -> None:
    methods = contract_of(order_pb2.DESCRIPTOR.services_by_name["OrderService"]).methods
    place, get = (methods[f"/shop.order.v1.OrderService/{name}"] for name in ("PlaceOrder", "GetOrder"))
    with pytest.raises(InvalidArgument, match="must hold 1 to 100 items"):
        decoder_of(place)(b"")
    assert decoder_of(get)(b"") == order_pb2.GetOrderRequest()


@pytest.mark.parametrize(
    ("policy", "kind", "reason"),
    [
        (FieldPolicy(minimum=1), Field.TYPE_STRING, "minimum"),
        (FieldPolicy(max_length=1), Field.TYPE_INT32, "max_length"),
        (FieldPolicy(min_length=1), Field.TYPE_BYTES, "min_length"),
        (FieldPolicy(max_items=1), Field.TYPE_STRING, "max_items"),
        (FieldPolicy(pattern="[a-z]"), Field.TYPE_STRING, "a pattern without"),
        (FieldPolicy(pattern="^a$", format=FORMAT_LINE), Field.TYPE_STRING, "both"),
    ],
    ids=str,
)
def test_a_limit_that_a_type_cannot_have_is_an_error(policy: FieldPolicy, kind: int, reason: str) -> None:
    with pytest.raises(ValueError, match=f"limited.Limited.field cannot have {reason}"):
        require_within_limits(limited_by({"field": policy}, kind)())
