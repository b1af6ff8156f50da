"""Who may call an internal method, and on whose behalf: held for every method of every contract."""

from collections.abc import Iterator

import grpc
import grpc.aio
import pytest
from soukapi.v1 import event_pb2, fleet_pb2, registry_pb2

from marketplace.app.app import app
from souk.descriptors.contract import ANY_SERVICE, Access, Method, contract_of
from souk.gateway.settings import GATEWAY_SERVICE
from souk.kernel.clock import SystemClock
from souk.kernel.context import CallContext, Caller, use
from souk.rpc.caller_token import CallerTokens
from souk.rpc.client.channel import Channel
from souk.rpc.in_process.transport import InProcessTransport
from souk.rpc.server.dispatcher import Dispatcher

KEY = b"k" * 32
CONTRACTS = [
    *(service.contract for service in app.services),
    *(
        contract
        for file in (event_pb2, fleet_pb2, registry_pb2)
        for contract in file.DESCRIPTOR.services_by_name.values()
    ),
]
METHODS = [method for contract in CONTRACTS for method in contract_of(contract).methods.values()]
INTERNAL = [method for method in METHODS if method.policy.access is Access.INTERNAL and method.unary]
ABOUT_A_USER = [method for method in METHODS if "user_id" in method.input.DESCRIPTOR.fields_by_name]
STRANGER = "a-service-that-nobody-names"


def test_every_request_that_names_a_user_says_so() -> None:
    assert {method.name for method in ABOUT_A_USER} >= {"Charge", "ResolveMethod", "GetContact", "GetRoles"}
    assert [method.full_name for method in ABOUT_A_USER if method.policy.subject_field != "user_id"] == []


def test_every_caller_that_is_named_is_a_service_of_the_system() -> None:
    services = {service.name for service in app.services} | {GATEWAY_SERVICE, ANY_SERVICE}
    assert {name for method in METHODS for name in method.policy.callers | method.policy.acts_for} <= services


class Handler:
    """Answers every method of a contract with an empty message."""

    def __init__(self, methods: list[Method]) -> None:
        for method in methods:
            setattr(self, method.name, self._answering(method))

    def _answering(self, method: Method):
        async def answer(request, context):
            return method.output()

        return answer


async def outcome(method: Method, service: str, subject: str, **fields: str) -> grpc.StatusCode:
    """Makes a call as `service` on behalf of `subject`, and gives its status."""
    contract = next(one for one in CONTRACTS if f"/{one.full_name}/" in method.full_name)
    own = [each for each in contract_of(contract).methods.values() if each.unary]
    dispatcher = Dispatcher(CallerTokens(KEY, "callee", SystemClock()))
    dispatcher.add(Handler(own), contract)
    transport = InProcessTransport(dispatcher)
    tokens = CallerTokens(KEY, service, SystemClock())
    channel = Channel(transport, tokens=tokens, audience="callee")
    call = channel.unary_unary(method.full_name, method.input.SerializeToString, method.output.FromString)
    with use(CallContext(caller=Caller(subject))):
        code = await call(method.input(**fields), timeout=5).code()
    await transport.close()
    return code


@pytest.mark.parametrize("method", INTERNAL, ids=lambda method: method.name)
async def test_an_internal_method_refuses_who_is_not_named(method: Method) -> None:
    expected = {grpc.StatusCode.PERMISSION_DENIED}
    if ANY_SERVICE in method.policy.callers:
        expected = {grpc.StatusCode.OK, grpc.StatusCode.INVALID_ARGUMENT}
    assert await outcome(method, STRANGER, "") in expected


def named() -> Iterator[object]:
    for method in ABOUT_A_USER:
        for service in sorted(method.policy.callers):
            yield pytest.param(method, service, id=f"{method.name}-{service}")


@pytest.mark.parametrize(("method", "service"), list(named()))
async def test_a_call_is_about_its_caller_unless_the_service_may_act_for_others(method: Method, service: str) -> None:
    may = service in method.policy.acts_for
    passed = {grpc.StatusCode.OK, grpc.StatusCode.INVALID_ARGUMENT}
    of_another = await outcome(method, service, "U-1", **filled(method, "U-2"))
    assert of_another in (passed if may else {grpc.StatusCode.PERMISSION_DENIED})
    assert await outcome(method, service, "U-1", **filled(method, "U-1")) in passed


def filled(method: Method, user: str) -> dict:
    """Gives the fields that a request needs to pass the checks of its form, with this user as its subject."""
    needed = {
        "key": "k",
        "transaction": "t",
        "order_id": "ORD-1",
        "amount": 1,
        "currency": "EUR",
        "payment_method": "wallet",
    }
    return {name: value for name, value in needed.items() if name in method.input.DESCRIPTOR.fields_by_name} | {
        "user_id": user
    }
