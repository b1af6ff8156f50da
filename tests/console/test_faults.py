"""Fault points: what can be armed, only where it is allowed, and that an armed one strikes once it is passed."""

import pytest
from soukapi.v1 import faults_pb2 as pb

from souk.admin.servicers.fault_points import ProcessFaultPoints
from souk.faults import CallFault, Faults
from souk.kernel.errors import DomainError
from souk.testing.clocks import FakeClock

POINTS = {"order": ["place/charge/do/before"], "user": []}


class Struck(Exception):
    pass


def strike() -> None:
    raise Struck


async def arm(servicer: ProcessFaultPoints, service: str, name: str) -> str:
    request = pb.ArmFaultPointRequest(service=service, name=name, operator="ann")
    return (await servicer.ArmFaultPoint(request, None)).process  # type: ignore[arg-type]  # it asks nothing of it


async def test_an_armed_point_strikes_the_next_time() -> None:
    faults = Faults(strike=strike)
    servicer = ProcessFaultPoints("order-1", faults, POINTS)
    faults.point("place/charge/do/before")
    assert await arm(servicer, "order", "place/charge/do/before") == "order-1"
    listed = await servicer.ListFaultPoints(pb.ListFaultPointsRequest(), None)  # type: ignore[arg-type]  # as above
    assert [(one.service, one.name, one.armed) for one in listed.points] == [
        ("order", "", False),
        ("order", "place/charge/do/before", True),
        ("user", "", False),
    ]
    faults.point("another")
    with pytest.raises(Struck):
        faults.point("place/charge/do/before")


@pytest.mark.parametrize(("service", "name"), [("order", "place"), ("user", "place/charge/do/before"), ("nobody", "")])
async def test_only_what_exists_is_armed(service: str, name: str) -> None:
    faults = Faults(strike=strike)
    with pytest.raises(DomainError):
        await arm(ProcessFaultPoints("order-1", faults, POINTS), service, name)
    assert faults.armed == {}


async def test_without_demo_data_nothing_is_armed() -> None:
    servicer = ProcessFaultPoints("order-1", None, POINTS)
    listed = await servicer.ListFaultPoints(pb.ListFaultPointsRequest(), None)  # type: ignore[arg-type]  # as above
    assert (listed.allowed, list(listed.points)) == (False, [])
    with pytest.raises(DomainError, match="only in a system with demo data"):
        await arm(servicer, "order", "")


def fault(share: float, until: float = 10.0) -> CallFault:
    return CallFault(0.0, "UNAVAILABLE", share, "ann", 0, 1, until)


@pytest.mark.parametrize(("share", "hit"), [(1.0, 100), (0.29, 29), (0.5, 50), (0.01, 1)])
def test_a_fault_strikes_its_share_and_ends_by_itself(share: float, hit: int) -> None:
    made = fault(share)
    assert sum(made.strikes(9.9) for _ in range(100)) == hit
    assert (made.came, made.hit) == (100, hit)
    assert not any(made.strikes(10.0) for _ in range(100))
    assert made.came == 100, "what comes later is not counted"


async def inject(servicer: ProcessFaultPoints, **wanted: float | str) -> list[str]:
    about = {"service": "order", "code": "INTERNAL", "share": 1.0, "seconds": 30.0, "operator": "ann", **wanted}
    request = pb.InjectCallFaultRequest(**about)  # type: ignore[arg-type]  # as the tests give it
    return list((await servicer.InjectCallFault(request, None)).processes)  # type: ignore[arg-type]  # as above


async def test_an_injected_fault_is_listed_with_what_came_of_it_until_it_is_ended() -> None:
    faults, clock = Faults(strike=strike), FakeClock(now=50)
    servicer = ProcessFaultPoints("order-1", faults, POINTS, clock)
    assert await inject(servicer, delay=0.2) == ["order-1"]
    assert faults.of_calls["order"].strikes(clock.monotonic())
    assert await inject(servicer, code="ABORTED") == ["order-1"]
    assert await inject(servicer, service="user") == ["order-1"]
    assert await inject(servicer, seconds=0) == ["order-1"]
    listed = (await servicer.ListFaultPoints(pb.ListFaultPointsRequest(), None)).injected  # type: ignore[arg-type]
    assert [(one.service, one.code, one.hit, one.came, one.over) for one in listed] == [
        ("order", "ABORTED", 0, 0, True),
        ("user", "INTERNAL", 0, 0, False),
        ("order", "INTERNAL", 1, 1, True),
    ]


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        ({"service": "nobody"}, "there is no service"),
        ({"seconds": 601.0}, "at most 600 seconds"),
        ({"seconds": float("nan")}, "at most 600 seconds"),
        ({"delay": -1.0}, "at most 60 seconds"),
        ({"code": "OK"}, "is none of"),
        ({"code": ""}, "give a delay"),
        ({"share": 0.0}, "above 0"),
        ({"share": 1.1}, "at most 1"),
    ],
)
async def test_what_makes_no_sense_is_not_injected(wanted: dict[str, float | str], why: str) -> None:
    faults = Faults(strike=strike)
    with pytest.raises(DomainError, match=why):
        await inject(ProcessFaultPoints("order-1", faults, POINTS), **wanted)
    assert faults.of_calls == {}


async def test_without_demo_data_no_calls_go_wrong() -> None:
    with pytest.raises(DomainError, match="only in a system with demo data"):
        await inject(ProcessFaultPoints("order-1", None, POINTS))
