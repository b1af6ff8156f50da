"""The OpenAPI document is valid, and says of a method what its contract says."""

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import schemathesis
from grpc_health.v1 import health_pb2
from hypothesis import given, settings
from hypothesis import strategies as st
from openapi_spec_validator import OpenAPIV31SpecValidator
from shop.analytics.v1 import analytics_pb2
from shop.inventory.v1 import inventory_pb2
from shop.notification.v1 import notification_pb2
from shop.order.v1 import order_pb2
from shop.payment.v1 import payment_pb2
from shop.product.v1 import product_pb2
from shop.user.v1 import user_pb2

import souk.gateway
from marketplace.product.demo import PRODUCTS
from marketplace.user.demo import ADDRESS_ID, HOME
from souk.descriptors.comments import comments_of
from souk.descriptors.contract import contract_of
from souk.descriptors.openapi.document import openapi_of
from souk.descriptors.openapi.json_schema import Schemas
from souk.descriptors.protojson.reader import JsonReader
from souk.descriptors.protojson.writer import writer_of
from souk.kernel.errors import InvalidArgument
from souk.testing.sample_contract import sample_messages
from tests.library import LIBRARY
from tests.properties import examples

MODULES = (order_pb2, product_pb2, user_pb2, payment_pb2, inventory_pb2, notification_pb2, analytics_pb2)
CONTRACTS = [contract_of(service) for module in MODULES for service in module.DESCRIPTOR.services_by_name.values()]
KEYS = "/shop.user.v1.UserService/ListSigningKeys"
DOCUMENT = openapi_of(CONTRACTS, "Souk", KEYS)
PLACE: Any = DOCUMENT["paths"]["/api/v1/orders"]["post"]
Everything, Child = sample_messages()


def problem(status: str) -> Any:
    """The schema of a problem that placing an order may end in."""
    response = PLACE["responses"][status]
    if "$ref" in response:
        response = DOCUMENT["components"]["responses"][response["$ref"].rpartition("/")[2]]
    return response["content"]["application/problem+json"]["schema"]


def test_it_is_valid() -> None:
    OpenAPIV31SpecValidator(DOCUMENT).validate()
    loaded = schemathesis.openapi.from_dict(DOCUMENT)
    loaded.validate()
    assert len(list(loaded.get_all_operations())) == sum(len(path) for path in DOCUMENT["paths"].values())
    for schema in DOCUMENT["components"]["schemas"].values():
        jsonschema_rs.meta.validate(schema)


@pytest.mark.parametrize(
    ("keys", "codes"),
    [
        (KEYS, "ORDER_UNAVAILABLE, USER_UNAVAILABLE, OVERLOADED"),
        ("/shop.payment.v1.PaymentService/GetWallet", "ORDER_UNAVAILABLE, PAYMENT_UNAVAILABLE, OVERLOADED"),
    ],
)
def test_whoever_knows_the_callers_may_be_away(keys: str, codes: str) -> None:
    document = openapi_of(CONTRACTS, "Souk", keys)
    assert document["paths"]["/api/v1/orders/{id}"]["get"]["responses"]["503"]["description"] == codes


def test_every_list_pages_alike() -> None:
    lists = [operation["get"] for operation in DOCUMENT["paths"].values() if "get" in operation]
    sizes = [each["schema"] for got in lists for each in got["parameters"] if each["name"] == "pageSize"]
    assert len(sizes) == 10
    assert all(size == {**sizes[0], "minimum": 1, "maximum": 100, "default": 20} for size in sizes)


def test_operation_ids_are_unique() -> None:
    names = [operation["operationId"] for path in DOCUMENT["paths"].values() for operation in path.values()]
    assert len(names) == len(set(names))


def test_every_reference_leads_somewhere() -> None:
    text = json.dumps(DOCUMENT)
    for part in text.split('"$ref": "')[1:]:
        _, kind, group, name = part.partition('"')[0].split("/")
        assert name in DOCUMENT[kind][group]


def test_what_is_internal_is_not_in_it() -> None:
    assert "/soukapi" not in json.dumps(DOCUMENT)
    assert "ChargeRequest" not in DOCUMENT["components"]["schemas"]
    assert "GetRolesRequest" not in json.dumps(DOCUMENT)


def test_an_operation_says_its_statuses_and_codes() -> None:
    assert set(PLACE["responses"]) >= {"201", "202", "400", "401", "402", "404", "409", "413", "415", "422", "503"}
    assert "200" not in PLACE["responses"]
    reused = DOCUMENT["components"]["schemas"]["IdempotencyKeyReusedProblem"]["properties"]
    assert problem("422") == {"$ref": "#/components/schemas/IdempotencyKeyReusedProblem"}
    assert reused["code"] == {**reused["code"], "type": "string", "const": "IDEMPOTENCY_KEY_REUSED"}
    assert reused["status"] == {**reused["status"], "type": "integer", "const": 422}
    assert PLACE["responses"]["404"]["description"] == "PRODUCT_NOT_FOUND, ADDRESS_NOT_FOUND, PAYMENT_METHOD_NOT_FOUND"
    assert set(PLACE["responses"]["201"]["headers"]) == {
        "X-Request-Id",
        "traceparent",
        "Location",
        "Idempotent-Replayed",
    }
    assert PLACE["security"] == [{"bearer": []}, {"apiKey": []}]


@pytest.mark.parametrize(
    ("status", "document", "valid"),
    [
        ("409", {"code": "OUT_OF_STOCK", "items": [{"productId": "P-101", "available": 0}]}, True),
        ("409", {"code": "OUT_OF_STOCK", "items": [{"productId": "P-101", "price": 1}]}, False),
        ("409", {"code": "OUT_OF_STOCK"}, False),
        ("409", {"code": "PRICE_CHANGED", "items": [{"productId": "P-101", "price": 1}]}, True),
        ("409", {"code": "REQUEST_IN_PROGRESS"}, True),
        ("409", {"code": "NOT_CANCELLABLE"}, False),
        ("402", {"code": "PAYMENT_DECLINED", "reason": "insufficient_funds"}, True),
        ("402", {"code": "PAYMENT_DECLINED"}, False),
    ],
)
def test_a_problem_holds_what_its_reason_brings(status: str, document: dict[str, Any], *, valid: bool) -> None:
    said = {"type": "/docs", "title": "", "status": int(status), "detail": "", "requestId": "r"}
    validator = jsonschema_rs.validator_for({**problem(status), "components": DOCUMENT["components"]})
    assert validator.is_valid({**said, **document}) is valid


def test_namesakes_are_told_by_their_package() -> None:
    names = {name for name in DOCUMENT["components"]["schemas"] if name.endswith("OutOfStockProblem")}
    assert names == {"OutOfStockProblem", "InventoryOutOfStockProblem"}


def test_an_open_operation_needs_no_token() -> None:
    operation = DOCUMENT["paths"]["/api/v1/products/{id}"]["get"]
    assert operation["security"] == []
    assert not {"401", "403", "415"} & set(operation["responses"])


def test_no_content_is_204() -> None:
    responses = DOCUMENT["paths"]["/api/v1/addresses/{id}"]["delete"]["responses"]
    assert "content" not in responses["204"]


def test_variables_of_a_path_are_in_lower_camel_case_and_not_in_the_body() -> None:
    adjust = DOCUMENT["paths"]["/api/v1/stock/{productId}:adjust"]["post"]
    assert [(p["name"], p["in"], p["required"]) for p in adjust["parameters"]] == [("productId", "path", True)]
    body = DOCUMENT["components"]["schemas"]["AdjustStockRequest"]
    assert set(body["properties"]) == {"delta", "reason", "idempotencyKey"}
    assert body["additionalProperties"] is False


def test_an_action_without_fields_takes_no_body() -> None:
    assert "requestBody" not in DOCUMENT["paths"]["/api/v1/orders/{id}:cancel"]["post"]


def test_comments_become_descriptions() -> None:
    assert PLACE["description"].startswith("Places an order")
    assert DOCUMENT["components"]["schemas"]["Order"]["description"] == "An order."
    assert DOCUMENT["tags"][0] == {"name": "order", "description": "The way of an order from wish to door."}
    size = DOCUMENT["paths"]["/api/v1/orders"]["get"]["parameters"][0]
    assert (size["name"], size["description"]) == (
        "pageSize",
        "How many to answer with at most, 1 to 100; 20 unless it is given.",
    )
    assert (size["schema"]["minimum"], size["schema"]["maximum"], size["schema"]["default"]) == (1, 100, 20)


def test_everything_is_described() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    operations = [operation for path in DOCUMENT["paths"].values() for operation in path.values()]
    parameters = [parameter for operation in operations for parameter in operation["parameters"]]
    properties = [value for schema in schemas.values() for value in schema["properties"].values()]
    for part in (*DOCUMENT["tags"], *operations, *parameters, *schemas.values(), *properties):
        assert part.get("description"), part


def test_a_foreign_contract_may_come_without_comments() -> None:
    health = contract_of(health_pb2.DESCRIPTOR.services_by_name["Health"])
    assert comments_of([health]) == {}
    assert comments_of([replace(health, full_name="this.v1.Service")]) == {}
    assert "this" not in sys.modules, "looking for comments imports nothing"


def _sample_schema(*, request: bool) -> Any:
    schemas = Schemas({})
    reference = schemas.request(Everything.DESCRIPTOR) if request else schemas.answer(Everything.DESCRIPTOR)
    return jsonschema_rs.validator_for(
        {**reference, "components": {"schemas": schemas.components}}, validate_formats=False
    )


@pytest.mark.parametrize("keys", [("child_name", ""), ("", "child_name")])
def test_requests_that_differ_in_the_field_of_the_key_alone_have_schemas_of_their_own(keys: tuple[str, str]) -> None:
    schemas = Schemas({})
    for key in keys:
        name = schemas.request(Child.DESCRIPTOR, key=key)["$ref"].rpartition("/")[2]
        assert ("maxLength" in schemas.components[name]["properties"]["childName"]) == bool(key)


REQUEST, ANSWER = _sample_schema(request=True), _sample_schema(request=False)
_leaf = st.none() | st.booleans() | st.integers(-(2**65), 2**65) | st.floats() | st.text(max_size=4) | st.just("RED")
_value = st.recursive(
    _leaf, lambda i: st.lists(i, max_size=2) | st.dictionaries(st.text(max_size=3), i, max_size=2), max_leaves=4
)
_child = st.fixed_dictionaries(
    {"childName": st.text(max_size=3) | _leaf, "age": st.integers(-5, 2**31) | _leaf, "colour": st.just("RED") | _leaf}
)
_NAMES = [field.json_name for field in Everything.DESCRIPTOR.fields]


@given(st.dictionaries(st.sampled_from(_NAMES), _value | _child | st.lists(_child, max_size=2), max_size=3))
@settings(max_examples=examples(500), deadline=None)
def test_the_schema_and_the_reader_agree(value: dict[str, Any]) -> None:
    """Whatever the reader takes is valid; what is valid it takes, but for what a schema cannot say of text."""
    try:
        message = Everything(**JsonReader(Everything.DESCRIPTOR).read(json.dumps(value).encode()))
    except InvalidArgument as refused:
        said = " ".join(violation.detail for violation in refused.violations)
        beyond = (
            "U+0000",
            "base64",
            "such as",
            "is out of range",
            "not valid JSON",
        )
        assert not REQUEST.is_valid(value) or any(words in said for words in beyond)
    else:
        assert REQUEST.is_valid(value)
        assert ANSWER.is_valid(writer_of(Everything.DESCRIPTOR)(message))


@pytest.mark.parametrize(("value", "valid"), [({"left": "a", "right": 1}, False), ({"left": "a"}, True)])
def test_alternatives_exclude_each_other(value: dict[str, Any], *, valid: bool) -> None:
    assert REQUEST.is_valid(value) is valid


def public_schemas() -> dict[str, Any]:
    return dict(DOCUMENT["components"]["schemas"])


def test_every_field_says_something_of_its_own() -> None:
    texts = {
        f"{name}.{field}": schema.get("description", "")
        for name, found in public_schemas().items()
        for field, schema in found.get("properties", {}).items()
    } | {
        f"{verb} {path} {one['name']}": one.get("description", "")
        for path, operations in DOCUMENT["paths"].items()
        for verb, operation in operations.items()
        for one in operation["parameters"]
    }
    assert len(texts) > 100
    assert {name: text for name, text in texts.items() if len(text.split()) < 3 or text.startswith("As in ")} == {}


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract.name)
def test_every_reason_says_what_it_means_and_what_to_do(contract: Any) -> None:
    for method in contract.methods.values():
        for reason in method.reasons.values():
            assert reason.meaning.endswith("."), reason.name
            assert reason.remedy.endswith("."), reason.name


def contents() -> Iterator[tuple[str, str, Any]]:
    """Every body of a request and of an answer: whose, of which type, and its schema and examples."""
    for path, operations in DOCUMENT["paths"].items():
        for verb, operation in operations.items():
            bodies = {status: resolved(one) for status, one in operation["responses"].items()}
            for name, body in {"request": operation.get("requestBody", {}), **bodies}.items():
                for content in body.get("content", {}).values():
                    yield f"{verb} {path} {name}", name, content


def resolved(response: Any) -> Any:
    if "$ref" in response:
        return DOCUMENT["components"]["responses"][response["$ref"].rpartition("/")[2]]
    return response


def examples(content: Any) -> list[Any]:
    return [content["example"]] if "example" in content else [one["value"] for one in content["examples"].values()]


def test_every_request_and_answer_has_an_example_that_its_schema_allows() -> None:
    wrong = {}
    for where, _, content in contents():
        validator = jsonschema_rs.validator_for({"components": DOCUMENT["components"], **content["schema"]})
        for example in examples(content):
            if found := [f"{error.instance_path}: {error.message}" for error in validator.iter_errors(example)]:
                wrong[where] = found
    assert wrong == {}


def test_every_parameter_s_example_is_one_that_its_schema_allows() -> None:
    found = [
        (one["schema"], one["example"])
        for operations in DOCUMENT["paths"].values()
        for operation in operations.values()
        for one in operation["parameters"]
        if "example" in one
    ]
    assert len(found) > 20
    assert [example for schema, example in found if not jsonschema_rs.is_valid(schema, example)] == []


def test_no_example_is_made_up() -> None:
    texts = json.dumps([examples(content) for _, _, content in contents()])
    assert '"example' not in texts
    assert "{}" not in texts


def test_the_examples_are_the_demo_data() -> None:
    category, name, price, description = PRODUCTS[0]
    mug = DOCUMENT["paths"]["/api/v1/products/{id}"]["get"]["responses"]["200"]["content"]["application/json"][
        "example"
    ]
    assert {"id": "P-101", "name": name, "category": category, "price": price, "description": description}.items() <= (
        mug.items()
    )
    address = DOCUMENT["paths"]["/api/v1/addresses/{id}"]["get"]["responses"]["200"]["content"]["application/json"]
    assert address["example"]["id"] == ADDRESS_ID
    assert {key: address["example"][key] for key in ("name", "line1", "city", "country", "phone")} == {
        key: getattr(HOME, key) for key in ("name", "line1", "city", "country", "phone")
    }


def test_every_code_of_the_gateway_is_explained() -> None:
    source = "".join(path.read_text() for path in (Path(souk.gateway.__file__).parent).rglob("*.py"))
    raised = set(re.findall(r'Problem\(\s*\d{3},\s*"([A-Z_]+)"', source))
    assert len(raised) > 8
    assert raised <= DOCUMENT["x-codes"].keys()
    said = {code for _, _, content in contents() for code in content.get("examples", ())}
    assert said <= DOCUMENT["x-codes"].keys()
    assert [code for code, text in DOCUMENT["x-codes"].items() if not (text["meaning"] and text["remedy"])] == []


LIBRARY_API: dict[str, Any] = openapi_of(
    [contract_of(LIBRARY), contract_of(user_pb2.DESCRIPTOR.services_by_name["UserService"])],
    "Library",
    "/shop.user.v1.UserService/ListSigningKeys",
)


def test_a_document_of_everything_in_google_api_http_is_valid() -> None:
    OpenAPIV31SpecValidator(LIBRARY_API).validate()
    ids = [operation["operationId"] for path in LIBRARY_API["paths"].values() for operation in path.values()]
    assert len(ids) == len(set(ids))


def test_variables_of_several_segments_are_parameters_for_each_wildcard() -> None:
    path = LIBRARY_API["paths"]["/v1/shelves/{name1}/books/{name2}"]
    assert set(path) == {"get", "delete", "patch", "put"}  # one path, though the rules name their variables otherwise
    assert [one["name"] for one in path["patch"]["parameters"] if one["in"] == "path"] == ["name1", "name2"]
    assert path["get"]["parameters"][0]["description"] == "A part of `shelves/*/books/*`."
    assert path["patch"]["operationId"] == "updateBook"
    assert "/v1/files/{path}" in LIBRARY_API["paths"]
    assert "/v1/docs/{path}:stat" in LIBRARY_API["paths"]


def test_bodies_answers_and_parameters_are_those_of_the_rules() -> None:
    paths = LIBRARY_API["paths"]
    listed = paths["/v1/shelves/{parent}/books"]["get"]["parameters"]
    assert {"filter.title", "filter.author.homeTown", "pageSize"} < {one["name"] for one in listed}
    patch = paths["/v1/shelves/{name1}/books/{name2}"]["patch"]
    reference = patch["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    changed = LIBRARY_API["components"]["schemas"][reference.rpartition("/")[2]]
    assert "required" not in changed
    assert "name" not in changed["properties"]
    assert paths["/v1/mirror"]["post"]["requestBody"] == {"content": {"*/*": {"schema": {}}}}
    assert paths["/v1/contents/{path}"]["get"]["responses"]["200"]["content"] == {"*/*": {"schema": {}}}
    plain = paths["/v1/shelves/{parent}/plain"]["get"]["responses"]["200"]["content"]["application/json"]
    assert plain["schema"]["type"] == "array"
    strings = paths["/v1/body/strings"]["post"]["requestBody"]
    assert (strings["required"], strings["content"]["application/json"]["schema"]["type"]) == (False, "array")
    assert "x-report" in paths["/v1/echo"]
    assert "x-any" in paths["/v1/any/{aString}"]
