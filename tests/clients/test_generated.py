"""The generated client is what the contracts give, in a sync and in an async form."""

import importlib.util
import inspect
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from souk_client import AsyncClient, Client, models

ROOT = Path(__file__).resolve().parents[2]


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("client_tool", ROOT / "tools" / "client.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["client_tool"] = module
    spec.loader.exec_module(module)
    return module


TOOL = _load()
DOCUMENT: dict[str, Any] = TOOL.document()


def test_it_is_what_the_contracts_give() -> None:
    assert TOOL.drift() == [], "run `make client`"


def test_another_contract_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    changed = TOOL.document()
    changed["components"]["schemas"]["Order"]["properties"]["weight"] = {"type": "integer"}
    monkeypatch.setattr(TOOL, "document", lambda: changed)
    assert TOOL.drift() == ["models.py"]


def test_both_clients_have_every_operation_with_the_same_arguments() -> None:
    names = [TOOL.snake(one["operationId"]) for verbs in DOCUMENT["paths"].values() for one in verbs.values()]
    assert len(names) > 40
    for name in names:
        own, other = getattr(Client, name), getattr(AsyncClient, name)
        assert inspect.signature(own) == inspect.signature(other)
        assert (own.__doc__, inspect.iscoroutinefunction(other)) == (other.__doc__, True)


def test_a_key_may_be_left_out_and_nothing_else_that_is_required() -> None:
    assert models.PlaceOrderRequest.__required_keys__ == {"items", "shippingAddressId", "paymentMethod"}
    assert "idempotencyKey" in models.PlaceOrderRequest.__optional_keys__
    assert models.Order.__required_keys__ >= {"id", "status", "items", "total"}


@pytest.mark.parametrize("schema", [{"type": "null"}, {"type": ["string", "null"]}])
def test_what_has_no_type_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(TOOL.NotSupported):
        TOOL.type_of(schema)


def test_a_body_that_is_no_json_is_refused() -> None:
    changed = TOOL.document()
    body = changed["paths"]["/api/v1/orders"]["post"]["requestBody"]
    body["content"] = {"*/*": {"schema": {}}}
    with pytest.raises(TOOL.NotSupported, match="place_order"):
        TOOL.sources(changed)


def test_names_that_python_keeps_for_itself_get_an_underscore() -> None:
    assert "from_" in inspect.signature(Client.get_revenue).parameters
    assert TOOL.argument("productId") == "product_id"
