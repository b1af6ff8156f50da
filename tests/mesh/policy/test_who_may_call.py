"""Who may call whom follows from contracts and declarations, and is enough for what the marketplace really does."""

import asyncio
import json
from pathlib import Path

import pytest
from shop.order.v1.order_pb2 import OrderConfirmed
from soukapi.v1 import fleet_pb2, fleet_pb2_grpc

from marketplace.app.app import app
from souk.admin.client import connection
from souk.mesh.policy.who_may_call import EVERYTHING, WhoMayCall, application_callers, who_may_call
from souk.runtime.data.layout import DataLayout
from souk.runtime.service import Service, ServiceContext, ServiceParts, Subscription
from souk.testing.processes import run
from souk.testing.system import embedded
from tests.market.shop import Shop

PAYMENTS, ORDERS, USERS = "/shop.payment.v1.PaymentService", "/shop.order.v1.OrderService", "/shop.user.v1.UserService"
DELIVER, PARK = "/soukapi.v1.EventSink/Deliver", "/soukapi.v1.EventSource/Park"
HISTORY, HEALTH = "/soukapi.v1.EventSource/ReadHistory", "/grpc.health.v1.Health/Check"
SERVER, CLIENT = 1, 2


@pytest.fixture(scope="module")
def who() -> WhoMayCall:
    return who_may_call(app.services)


@pytest.mark.parametrize(
    ("caller", "service", "method", "why"),
    [
        ("gateway", "order", f"{ORDERS}/PlaceOrder", "the method is public, through the gateway"),
        ("user", "order", f"{ORDERS}/ListOrders", "the method is public, and user declares calls to order"),
        ("order", "payment", f"{PAYMENTS}/Charge", "the contract names it, and order declares calls to payment"),
        ("gateway", "user", f"{USERS}/GetRoles", "the contract names it"),
        ("order", "notification", DELIVER, "delivers its events (shop.order), to which notification subscribes"),
        ("product", "product", DELIVER, "delivers its events (shop.product), to which product subscribes"),
        (
            "notification",
            "order",
            PARK,
            "subscribes to events of order, and parks those that it cannot handle",
        ),
        ("analytics", "order", HISTORY, "the contract names every service, and analytics declares calls to order"),
        ("gateway", "inventory", HEALTH, "asks whether the process is up"),
    ],
)
def test_who_may_call_and_why(who: WhoMayCall, caller: str, service: str, method: str, why: str) -> None:
    assert who.reason(caller, service, method) == why


@pytest.mark.parametrize(
    ("caller", "service", "method"),
    [
        ("gateway", "payment", f"{PAYMENTS}/Charge"),  # internal, and not named
        ("user", "payment", f"{PAYMENTS}/Charge"),  # declared, and not named
        ("inventory", "payment", f"{PAYMENTS}/GetWallet"),  # public, and not declared
        ("notification", "order", f"{ORDERS}/GetOrder"),  # hears its events, and does not call it
        ("user", "notification", f"{ORDERS}/GetOrder"),  # no method of the service
        ("inventory", "notification", DELIVER),  # publishes nothing that it hears
        ("inventory", "order", PARK),  # hears nothing of it
        ("product", "order", HISTORY),  # does not call it
        ("gateway", "order", HISTORY),
        ("nobody", "order", HEALTH),
    ],
)
def test_who_may_not(who: WhoMayCall, caller: str, service: str, method: str) -> None:
    assert who.reason(caller, service, method) is None


async def build(context: ServiceContext) -> ServiceParts:
    raise AssertionError("nobody builds it")


def test_a_caller_outside_of_the_system_that_a_contract_names_is_allowed() -> None:
    payment = next(service for service in app.services if service.name == "payment")
    alone = who_may_call([payment])
    why = "the contract names it; it is no service of this system, so it declares nothing"
    assert alone.reason("order", "payment", f"{PAYMENTS}/Charge") == why
    assert alone.reason("order", "payment", f"{PAYMENTS}/GetWallet") is None


def test_a_service_that_hears_events_gets_the_method_for_them() -> None:
    order = next(service for service in app.services if service.name == "order")
    hears = Service(
        "hears", order.contract, build, subscriptions=(Subscription("all", (OrderConfirmed.DESCRIPTOR.full_name,)),)
    )
    quiet = Service("quiet", order.contract, build)
    found = who_may_call([hears, quiet])
    assert DELIVER in found.services["hears"]
    assert DELIVER not in found.services["quiet"]


def test_methods_with_the_same_callers_are_together(who: WhoMayCall) -> None:
    groups = who.by_callers("payment")
    assert f"{PAYMENTS}/Charge" in groups[frozenset({"order"})]
    assert sorted(method for methods in groups.values() for method in methods) == sorted(who.services["payment"])


Real = tuple[str, str, str]


def journey(shop: Shop) -> None:
    """Registers, orders, cancels, and deletes an account: all services are called on the way."""
    buyer = shop.buyer()
    order = buyer.buy((shop.product(), 1, 1_200))
    buyer.ok("POST", f"/api/v1/orders/{order['id']}:cancel")
    shop.mailbox.await_letter(order["id"], "cancelled")
    leaving = shop.stranger()
    leaving.delete_account()


async def real_calls(data: Path) -> set[Real]:
    """Reads who called which method of whom from the spans that a system has kept."""
    spans: list[fleet_pb2.RecordedSpan] = []
    async with connection(str(DataLayout(data.resolve()).control)) as channel:
        page = await fleet_pb2_grpc.ProcessStub(channel).ReadSpans(fleet_pb2.ReadSpansRequest())
        spans += page.spans
        while page.more:
            following = fleet_pb2.ReadSpansRequest(ring=page.ring, position=page.position)
            page = await fleet_pb2_grpc.ProcessStub(channel).ReadSpans(following)
            spans += page.spans
    callers = {one.span_id: one.service for one in spans if one.kind == CLIENT}
    return {
        (callers[one.parent_id], one.service, f"/{one.name}")
        for one in spans
        if one.kind == SERVER and one.parent_id in callers
    }


def test_what_the_marketplace_really_calls_is_allowed(who: WhoMayCall, tmp_path: Path) -> None:
    settings = {"SOUK_CONSOLE_TRACES": "1000", "SOUK_TRACE_TAIL_RATE": "100000"}
    with embedded(tmp_path, settings=settings) as system:
        shop = Shop(system.mode, system.url, system.data)
        journey(shop)
        shop.close()
        calls = asyncio.run(real_calls(system.data))
    assert {(caller, callee) for caller, callee, _ in calls} >= {
        ("gateway", "user"),
        ("gateway", "order"),
        ("order", "user"),
        ("order", "product"),
        ("order", "inventory"),
        ("order", "payment"),
        ("order", "notification"),
        ("notification", "user"),
        ("user", "payment"),
    }
    assert [call for call in sorted(calls) if who.reason(*call) is None] == []


async def test_the_command_shows_it_by_method() -> None:
    ended = await run("mesh", "who-may-call", "payment")
    lines = ended.out.splitlines()
    assert lines[0].split() == ["method", "caller", "why"]
    charge = next(line for line in lines if "PaymentService/Charge " in line)
    assert charge.split(maxsplit=2) == [
        "shop.payment.v1.PaymentService/Charge",
        "order",
        "the contract names it, and order declares calls to payment",
    ]


async def test_the_command_shows_it_as_json() -> None:
    rows = json.loads((await run("mesh", "who-may-call", "analytics", "--json")).out)
    assert {row["caller"] for row in rows if row["method"].startswith("shop.")} == {"gateway"}


async def test_the_command_suggests_the_nearest_service() -> None:
    ended = await run("mesh", "who-may-call", "paymnt")
    assert (ended.status, ended.err) == (1, "souk: there is no service 'paymnt'; the nearest is 'payment'\n")


def test_requests_to_an_application_are_for_the_gateway_and_those_who_declare_them() -> None:
    assert list(application_callers("reviews", app.services)[EVERYTHING]) == ["gateway"]
    assert {"gateway", "order"} <= application_callers("payment", app.services)[EVERYTHING].keys()
