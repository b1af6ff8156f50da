"""The sagas of a fleet, as its supervisor tells: one process of each service is asked, and what is silent is named."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import grpc.aio
import pytest
from soukapi.v1 import sagas_pb2 as pb
from soukapi.v1 import sagas_pb2_grpc

from souk.admin.client import connection
from souk.admin.process_status import GATEWAY, SERVICE, View
from souk.admin.servicers.sagas import CONTRACT, NO_RUN, FleetSagas, ProcessSagas
from souk.admin.unix_socket import serving
from souk.kernel.clock import SystemClock
from souk.saga.runner import SagaRunner, SagaSettings
from souk.testing.saga_suite import PATIENCE, Shop

CLOCK = SystemClock()
SETTINGS = SagaSettings(claim=0.02, poll=0.02)
ORDER, TRIP = "place:O-1:1", "place:T-1:1"


@dataclass
class AProcess:
    """What `FleetSagas` reads of a process."""

    service: str
    control: str
    kind: str = SERVICE


@dataclass
class AFleet:
    """Two services, of one process each, and a gateway, which has no database."""

    stub: "sagas_pb2_grpc.SagasAsyncStub"
    processes: list[AProcess]
    order: Shop
    trip: Shop
    folder: Path

    def dies_at_first(self, service: str) -> None:
        """Adds a dead process of a service before the others."""
        self.processes.insert(0, AProcess(service, str(self.folder / "dead")))


async def waiting_shop(folder: Path, subject: str) -> Shop:
    folder.mkdir()
    shop = await Shop.open(folder, approval=3_600.0)
    runner = SagaRunner(shop.database, [shop.saga()], CLOCK, "first", SETTINGS, service="shop")
    await shop.start(runner, subject)
    await runner.close(PATIENCE)
    return shop


@pytest.fixture
async def fleet(tmp_path: Path) -> AsyncIterator[AFleet]:
    order, trip = await waiting_shop(tmp_path / "order", "O-1"), await waiting_shop(tmp_path / "trip", "T-1")
    hosted = {"order-2": {"order": order.database}, "trip-2": {"trip": trip.database}, "gateway-1": {}}
    processes: list[AProcess] = []
    async with AsyncExitStack() as stack:
        for name, databases in hosted.items():
            await stack.enter_async_context(serving(tmp_path / name, {CONTRACT: ProcessSagas(databases)}, CLOCK))
            service = name.partition("-")[0]
            processes.append(AProcess(service, str(tmp_path / name), GATEWAY if service == "gateway" else SERVICE))
        servicer = FleetSagas(lambda: [cast("View", one) for one in processes])
        await stack.enter_async_context(serving(tmp_path / "fleet", {CONTRACT: servicer}, CLOCK))
        channel = await stack.enter_async_context(connection(str(tmp_path / "fleet")))
        yield AFleet(sagas_pb2_grpc.SagasStub(channel), processes, order, trip, tmp_path)
    for shop in (order, trip):
        await shop.close()


def act(action: str, *ids: str, why: str = "ticket 1", preview: bool = False) -> pb.ActOnSagaRunsRequest:
    return pb.ActOnSagaRunsRequest(action=action, ids=ids, operator="ann", why=why, preview=preview)


async def test_the_runs_of_all_services_are_listed_though_a_process_of_each_is_dead(fleet: AFleet) -> None:
    for service in ("order", "trip"):
        fleet.dies_at_first(service)
    found = await fleet.stub.ListSagaRuns(pb.ListSagaRunsRequest())
    assert {(run.service, run.id, run.state) for run in found.runs} == {
        ("order", ORDER, "waiting"),
        ("trip", TRIP, "waiting"),
    }
    assert (found.more, list(found.silent)) == (False, [])
    one = await fleet.stub.ListSagaRuns(pb.ListSagaRunsRequest(service="trip"))
    assert [run.id for run in one.runs] == [TRIP]


async def test_each_run_is_acted_on_where_it_is_and_once(fleet: AFleet) -> None:
    preview = await fleet.stub.ActOnSagaRuns(act("pause", ORDER, TRIP, preview=True))
    assert [one.text for one in preview.effects] == ["is driven by nobody"] * 2
    done = await fleet.stub.ActOnSagaRuns(act("pause", TRIP, ORDER, "place:X-1:1"))
    assert [(one.id, one.changed, one.refused) for one in done.effects] == [
        (TRIP, True, False),
        (ORDER, True, False),
        ("place:X-1:1", False, True),
    ]
    assert done.effects[2].text == NO_RUN
    again = await fleet.stub.ActOnSagaRuns(act("pause", ORDER))
    assert (again.effects[0].changed, again.effects[0].text) == (False, "it is paused already")


async def test_what_operators_did_and_which_messages_came_is_told(fleet: AFleet) -> None:
    idle = SagaRunner(fleet.order.database, [fleet.order.saga()], CLOCK, "any", SETTINGS, service="order")
    await fleet.order.deliver(idle)
    await fleet.order.deliver(idle, message_id="M-2")
    await fleet.stub.ActOnSagaRuns(act("pause", ORDER))
    told = await fleet.stub.ListSagaActions(pb.ListSagaActionsRequest(subject="O-1"))
    assert [(one.id, one.action, one.operator, one.why) for one in told.actions] == [
        (ORDER, "pause", "ann", "ticket 1")
    ]
    assert [(one.id, one.message_id, one.fate) for one in told.messages] == [
        (ORDER, "M-1", "taken"),
        (ORDER, "M-2", "late"),
    ]


async def test_a_service_whose_processes_are_all_dead_is_named(fleet: AFleet) -> None:
    fleet.processes[:] = [one for one in fleet.processes if one.service != "trip"]
    fleet.dies_at_first("trip")
    found = await fleet.stub.ListSagaRuns(pb.ListSagaRunsRequest())
    assert ([run.id for run in found.runs], list(found.silent)) == ([ORDER], ["trip"])
    done = await fleet.stub.ActOnSagaRuns(act("pause", TRIP, ORDER))
    assert [one.changed for one in done.effects] == [False, True]
    assert done.effects[0].text == f"{NO_RUN}, unless it is one of trip, which do not answer"


async def test_a_wish_without_a_reason_is_refused_before_anybody_is_asked(fleet: AFleet) -> None:
    for request in (act("pause", ORDER, why=" "), act("forget", ORDER)):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await fleet.stub.ActOnSagaRuns(request)
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    found = await fleet.stub.ListSagaRuns(pb.ListSagaRunsRequest(state="paused"))
    assert list(found.runs) == []
