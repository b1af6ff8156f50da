"""Contracts are read as they are written."""

from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.duration_pb2 import Duration
from shop.order.v1 import order_pb2
from shop.product.v1 import product_pb2
from shop.user.v1 import user_pb2
from soukapi.v1 import event_pb2, policy_pb2

from souk.descriptors.contract import STANDARD_REASONS, Access, RateClass, SuccessState, contract_of
from souk.descriptors.http_rule import HttpRule

ORDER = contract_of(order_pb2.DESCRIPTOR.services_by_name["OrderService"])
USER = contract_of(user_pb2.DESCRIPTOR.services_by_name["UserService"])
PLACE = ORDER.methods["/shop.order.v1.OrderService/PlaceOrder"]


def test_a_method_carries_what_its_contract_says() -> None:
    assert (PLACE.service, PLACE.name) == ("order", "PlaceOrder")
    assert (PLACE.input, PLACE.output) == (order_pb2.PlaceOrderRequest, order_pb2.Order)
    assert PLACE.http == (HttpRule("POST", "/api/v1/orders", "*"),)
    assert PLACE.idempotent
    assert not PLACE.read_only
    assert PLACE.unary


def test_a_policy_is_read() -> None:
    policy = PLACE.policy
    assert (policy.access, policy.rate_class, policy.timeout) == (Access.CALLER, RateClass.WRITE, 10.0)
    assert policy.idempotency_field == "idempotency_key"
    assert policy.success_states == (SuccessState("status", "PENDING", 202),)
    assert (policy.success_status, policy.location) == (201, "/api/v1/orders/{id}")


def test_time_outs_have_defaults() -> None:
    policy = USER.methods["/shop.user.v1.UserService/Logout"].policy
    assert (policy.timeout, policy.try_timeout) == (5.0, 5.0)
    assert USER.methods["/shop.user.v1.UserService/GetMe"].policy.try_timeout == 2.0


def test_reasons_of_a_method_are_its_own_and_the_standard_ones() -> None:
    out_of_stock = PLACE.reasons["OUT_OF_STOCK"]
    assert (out_of_stock.code, out_of_stock.http_status) == (grpc.StatusCode.FAILED_PRECONDITION, 409)
    assert out_of_stock.final
    assert not PLACE.reasons["PAYMENT_UNAVAILABLE"].final
    assert set(STANDARD_REASONS) < set(PLACE.reasons)
    assert "NOT_CANCELLABLE" not in PLACE.reasons


def test_a_reason_may_bring_a_message() -> None:
    assert PLACE.reasons["OUT_OF_STOCK"].detail is order_pb2.StockShortage
    assert PLACE.reasons["ADDRESS_NOT_FOUND"].detail is None


def test_a_token_that_was_not_accepted_is_not_the_last_word() -> None:
    # Else a saga that only goes forward would park a step for an expired token.
    assert not STANDARD_REASONS["UNAUTHENTICATED"].final
    assert STANDARD_REASONS["INVALID_REQUEST"].final


def test_it_is_read_once() -> None:
    descriptor = product_pb2.DESCRIPTOR.services_by_name["ProductService"]
    assert contract_of(descriptor) is contract_of(descriptor)


def test_internal_methods_are_not_routed() -> None:
    sink = contract_of(event_pb2.DESCRIPTOR.services_by_name["EventSink"])
    deliver = sink.methods["/soukapi.v1.EventSink/Deliver"]
    assert (sink.name, deliver.policy.access, deliver.http) == ("event-sink", Access.INTERNAL, ())


def _service(name: str, reasons: list[str]) -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name=f"{name}.proto", package=name, syntax="proto3")
    file.message_type.add(name="Ping")
    method = file.service.add(name="Pinger").method.add(
        name="Ping", input_type=f".{name}.Ping", output_type=f".{name}.Ping"
    )
    method.server_streaming = True
    if reasons:
        method.options.Extensions[policy_pb2.policy].reasons.extend(reasons)
    return file


def test_a_foreign_service_in_a_pool_of_its_own_reads_as_defaults() -> None:
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(_service("foreign", []).SerializeToString())
    contract = contract_of(pool.FindServiceByName("foreign.Pinger"))
    method = contract.methods["/foreign.Pinger/Ping"]
    assert contract.name == "foreign.Pinger"
    assert (method.policy.access, method.policy.timeout) == (Access.UNSPECIFIED, 5.0)
    assert method.server_streaming
    assert not method.unary
    assert method.reasons == STANDARD_REASONS
    assert method.input().SerializeToString() == b""


def test_an_unknown_reason_is_an_error() -> None:
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(_service("wrong", ["NO_SUCH"]).SerializeToString())
    with pytest.raises(ValueError, match="NO_SUCH"):
        contract_of(pool.FindServiceByName("wrong.Pinger"))


def test_a_detail_that_is_no_message_is_an_error() -> None:
    file = _service("bare", [])
    file.service[0].options.Extensions[policy_pb2.service].reasons.add(name="FULL", detail="bare.Nothing")
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    with pytest.raises(ValueError, match=r"FULL is no message: bare\.Nothing"):
        contract_of(pool.FindServiceByName("bare.Pinger"))


def _reading(policy: policy_pb2.MethodPolicy, *, read_only: bool = True, stream: bool = False) -> str:
    """What is wrong with a method that reads and has this policy."""
    file = _service("kept", [])
    method = file.service[0].method[0]
    method.server_streaming = stream
    if read_only:
        method.options.idempotency_level = descriptor_pb2.MethodOptions.NO_SIDE_EFFECTS
    method.options.Extensions[policy_pb2.policy].CopyFrom(policy)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    try:
        contract_of(pool.FindServiceByName("kept.Pinger"))
    except ValueError as error:
        return str(error)
    return ""


def test_a_max_age_is_for_what_may_be_kept() -> None:
    def policy(**more: Any) -> policy_pb2.MethodPolicy:
        return policy_pb2.MethodPolicy(**{"access": policy_pb2.ACCESS_ANYONE, "max_age": Duration(seconds=1)} | more)

    assert _reading(policy()) == ""
    assert _reading(policy(max_age=Duration())) == ""
    assert "max_age is not below zero" in _reading(policy(max_age=Duration(nanos=-1)))
    assert "only what anyone may read" in _reading(policy(access=policy_pb2.ACCESS_CALLER))
    assert "only what anyone may read" in _reading(policy(), read_only=False)
    assert "a stream is never kept" in _reading(policy(), stream=True)
    assert "with no_store" in _reading(policy(no_store=True))
    headers = [policy_pb2.ResponseHeader(name="X-A", meaning="A.")]
    assert "with response_headers" in _reading(policy(response_headers=headers))
