"""What raises an alarm of a running system: sagas that were parked since, and invariants that are broken."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from soukapi.v1 import accounts_pb2, parked_pb2, sagas_pb2

from souk.admin.servicers.sagas import ProcessSagas
from souk.admin.unix_socket import serving
from souk.kernel.clock import MICROSECONDS, SystemClock
from souk.kernel.errors import ConfigurationError
from souk.mesh.canary.alarms import FleetAlarms
from souk.mesh.canary.release import CanaryRelease
from souk.runtime.data.layout import DataLayout
from souk.runtime.service import Invariant
from souk.store.database import Transaction
from souk.testing.saga_suite import Shop
from tests.console.test_sagas import begin

V2 = CanaryRelease(service="payment", version="v2")
LEDGER = Invariant("Ledger", "It sums to zero.", ("payment/postings",))
BEGAN = 1_000 * MICROSECONDS


@dataclass
class System:
    """Stands for a running system: a saga with a step in a state since a moment, and the sum of its ledger."""

    state: str = "done"
    since: int = BEGAN
    sum: int = 0
    more: bool = False
    met: Mapping[str, str] = field(default_factory=dict)
    silent: tuple[str, ...] = ()

    async def ListSagaRuns(
        self, request: sagas_pb2.ListSagaRunsRequest, context: object
    ) -> sagas_pb2.ListSagaRunsResponse:
        found = sagas_pb2.ListSagaRunsResponse(more=self.more)
        if request.state == "parked":
            run = found.runs.add(id="place-order:ORD-1:1", releases=self.met)
            step = run.steps.add(name="charge payment", state=self.state, note="the bank said no")
            step.changed_at.FromMicroseconds(self.since)
        return found

    async def ListLag(self, request: parked_pb2.ListLagRequest, context: object) -> parked_pb2.ListLagResponse:
        return parked_pb2.ListLagResponse(silent=self.silent)

    async def GetEvent(self, request: parked_pb2.GetEventRequest, context: object) -> parked_pb2.GetEventResponse:
        raise NotImplementedError

    async def DecideParked(
        self, request: parked_pb2.DecideParkedRequest, context: object
    ) -> parked_pb2.DecideParkedResponse:
        raise NotImplementedError

    async def ListSagaActions(
        self, request: sagas_pb2.ListSagaActionsRequest, context: object
    ) -> sagas_pb2.ListSagaActionsResponse:
        raise NotImplementedError

    async def ActOnSagaRuns(
        self, request: sagas_pb2.ActOnSagaRunsRequest, context: object
    ) -> sagas_pb2.ActOnSagaRunsResponse:
        raise NotImplementedError

    async def ListParked(self, request: parked_pb2.ListParkedRequest, context: object) -> parked_pb2.ListParkedResponse:
        raise NotImplementedError

    async def ReadAccounts(
        self, request: accounts_pb2.ReadAccountsRequest, context: object
    ) -> accounts_pb2.ReadAccountsResponse:
        found = accounts_pb2.ReadAccountsResponse()
        found.accounts.add(service="payment", account="postings", amounts={"EUR": self.sum})
        found.accounts.add(service="order", account="paid", amounts={"EUR": 0})
        return found


@pytest.fixture
async def system(tmp_path: Path) -> AsyncIterator[System]:
    made, layout = System(), DataLayout(tmp_path)
    layout.prepare_run()
    contracts = {
        sagas_pb2.DESCRIPTOR.services_by_name["Sagas"]: made,
        parked_pb2.DESCRIPTOR.services_by_name["ParkedWork"]: made,
        accounts_pb2.DESCRIPTOR.services_by_name["Accounts"]: made,
    }
    async with serving(layout.control, contracts, SystemClock()):
        yield made


async def raised(folder: Path) -> tuple[str, ...]:
    return await FleetAlarms(folder, [LEDGER]).raised(V2, BEGAN)


async def test_a_system_in_order_raises_none(tmp_path: Path, system: System) -> None:
    assert await raised(tmp_path) == ()


@pytest.mark.parametrize("state", ["parked", "undo_parked", "wait_parked"])
async def test_a_saga_that_was_parked_since_is_one(tmp_path: Path, system: System, state: str) -> None:
    system.state = state
    assert await raised(tmp_path) == ("place-order:ORD-1:1 is parked at 'charge payment': the bank said no",)
    system.since = BEGAN - 1
    assert await raised(tmp_path) == ()


async def test_more_parked_sagas_than_can_be_gone_through_hide_none(tmp_path: Path, system: System) -> None:
    system.more = True
    with pytest.raises(ConfigurationError, match="more than 1000 sagas are parked"):
        await raised(tmp_path)


@pytest.mark.parametrize(("met", "count"), [({"payment": "v2"}, 1), ({"payment": ""}, 0), ({"user": ""}, 1)])
async def test_a_saga_that_stays_in_another_release_is_none(
    tmp_path: Path, system: System, met: Mapping[str, str], count: int
) -> None:
    system.state, system.met = "parked", met
    assert len(await raised(tmp_path)) == count


async def met_payment(tx: Transaction) -> None:
    await tx.execute("UPDATE souk_saga_run SET releases = $1 WHERE subject = $2", "user=,payment=v2", "ORD-1")
    await tx.execute("UPDATE souk_saga_run SET releases = $1 WHERE subject = $2", "user=,payment=", "ORD-3")


async def test_a_parked_saga_of_a_real_database_is_one(tmp_path: Path) -> None:
    shop, layout, made = await Shop.open(tmp_path), DataLayout(tmp_path), System()
    layout.prepare_run()
    contracts = {
        sagas_pb2.DESCRIPTOR.services_by_name["Sagas"]: ProcessSagas({"order": shop.database}),
        parked_pb2.DESCRIPTOR.services_by_name["ParkedWork"]: made,
        accounts_pb2.DESCRIPTOR.services_by_name["Accounts"]: made,
    }
    try:
        await begin(shop, "ORD-1", parked=True, text="no answer")
        await begin(shop, "ORD-2")
        await begin(shop, "ORD-3", parked=True)
        await shop.database.run(met_payment)
        async with serving(layout.control, contracts, SystemClock()):
            alarms = FleetAlarms(tmp_path, [LEDGER])
            assert await alarms.raised(V2, 1) == ("place:ORD-1:1 is parked at 'charge': no answer",)
            assert await alarms.raised(V2, 2) == ()
    finally:
        await shop.close()


async def test_an_invariant_that_is_broken_is_one(tmp_path: Path, system: System) -> None:
    system.sum = 3
    assert await raised(tmp_path) == ("the invariant 'Ledger' is broken",)


@pytest.mark.parametrize(("silent", "alarms"), [((), ("the invariant 'Paid' is broken",)), (("user",), ())])
async def test_services_may_differ_while_one_does_not_say_what_is_under_way(
    tmp_path: Path, system: System, silent: tuple[str, ...], alarms: tuple[str, ...]
) -> None:
    system.sum, system.silent = 3, silent
    paid = Invariant("Paid", "What is paid was booked.", ("payment/postings",), ("order/paid",))
    assert await FleetAlarms(tmp_path, [paid]).raised(V2, BEGAN) == alarms


async def test_a_system_that_does_not_run_cannot_be_asked(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        await raised(tmp_path)
