"""A process dies at each write of the authority's file: the file can always be read, and the same identity goes on."""

import fcntl
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from souk.mesh.identity.authority import CertificateAuthority
from souk.mesh.identity.rotation import RootStage
from souk.mesh.identity.store import FILE, FOLDER
from tests.mesh.identity.fleet import PAYMENT, SHORT, TICK, SetClock, authority, serve
from tests.mesh.identity.test_authority import roots, verifies

DIED = 137
CALLS = ((os, "open"), (os, "write"), (os, "fsync"), (os, "replace"), (os, "unlink"), (os, "close"), (fcntl, "flock"))
Act = Callable[[CertificateAuthority, SetClock], None]


def nothing(fleet: CertificateAuthority, clock: SetClock) -> None:
    """The authority is as it was made."""


def before_the_take_over(fleet: CertificateAuthority, clock: SetClock) -> None:
    fleet.rotate_root()
    fleet.advance()
    serve(fleet, clock, SHORT.delay - TICK)


def before_the_distrust(fleet: CertificateAuthority, clock: SetClock) -> None:
    before_the_take_over(fleet, clock)
    serve(fleet, clock, SHORT.leaf + 2 * SHORT.skew)


def before_the_renewal(fleet: CertificateAuthority, clock: SetClock) -> None:
    clock.advance(SHORT.intermediate / 2 - TICK)


def tick(fleet: CertificateAuthority, clock: SetClock) -> None:
    serve(fleet, clock, TICK)


def rotate(fleet: CertificateAuthority, clock: SetClock) -> None:
    fleet.rotate_root()


def refuse(fleet: CertificateAuthority, clock: SetClock) -> None:
    fleet.refuse("service", "inventory", "because")


ACTS: dict[str, tuple[Act, Act]] = {
    "rotate": (nothing, rotate),
    "take over": (before_the_take_over, tick),
    "distrust": (before_the_distrust, tick),
    "renew": (before_the_renewal, tick),
    "refuse": (nothing, refuse),
}
"""What a process does before, and the act at which it dies."""


def dies_at(number: int, *, late: bool, work: Callable[[], object]) -> bool:
    """Does the work in a process that dies at its `number`-th call of the system, before or after that was done; half
    of what it was to write is written then. Tells whether it died."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == DIED
    status = 1
    try:
        counted = 0

        def broken(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
            def called(*args: Any, **keywords: Any) -> Any:
                nonlocal counted
                counted += 1
                if counted <= number:
                    return call(*args, **keywords)
                if late:
                    call(*args, **keywords)
                elif name == "write":
                    call(args[0], args[1][: len(args[1]) // 2])
                os._exit(DIED)

            return called

        for module, name in CALLS:
            setattr(module, name, broken(name, getattr(module, name)))
        work()
        status = 0
    finally:
        os._exit(status)


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("acts", ACTS.values(), ids=ACTS)
def test_an_authority_survives_a_death_at_each_call(
    tmp_path: Path,
    acts: tuple[Act, Act],
    late: bool,
) -> None:
    number, died, states = 0, True, []
    while died:
        data, clock = tmp_path / str(number), SetClock()
        fleet = authority(data, clock)
        acts[0](fleet, clock)
        certificate, state = fleet.issue(PAYMENT), (data / FOLDER / FILE).read_bytes()
        died = dies_at(number, late=late, work=partial(acts[1], fleet, clock))
        states.append((data / FOLDER / FILE).read_bytes() == state)
        survivor = authority(data, clock)
        assert verifies(certificate, survivor)
        assert verifies(survivor.issue(PAYMENT), fleet)
        _goes_on(survivor, clock)
        number += 1
    assert states == sorted(states, reverse=True), "the old state, and from one call on the new one"
    assert {True, False} == set(states)


def _goes_on(fleet: CertificateAuthority, clock: SetClock) -> None:
    """What was under way ends, and a whole rotation after it; what is issued verifies all the time."""
    for rotated in (False, True):
        if rotated:
            fleet.rotate_root()
        fleet.advance()
        serve(fleet, clock, SHORT.delay)
        assert verifies(fleet.issue(PAYMENT), fleet)
        serve(fleet, clock, SHORT.leaf + 2 * SHORT.skew)
        assert fleet.rotation.stage is RootStage.STEADY
        assert verifies(fleet.issue(PAYMENT), fleet)


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
def test_a_first_start_that_dies_leaves_nothing_or_an_authority(tmp_path: Path, late: bool) -> None:
    number, died, found = 0, True, set()
    while died:
        data, clock = tmp_path / str(number), SetClock()
        data.mkdir()
        died = dies_at(number, late=late, work=partial(authority, data, clock))
        exists = (data / FOLDER / FILE).exists()
        before = (data / FOLDER / FILE).read_bytes() if exists else b""
        fleet = authority(data, clock)
        assert verifies(fleet.issue(PAYMENT), fleet)
        assert not exists or (data / FOLDER / FILE).read_bytes() == before
        found.add(exists)
        number += 1
    assert found == {False, True}


def test_two_first_starts_make_one_authority(tmp_path: Path) -> None:
    children = []
    for number in range(8):
        child = os.fork()
        if not child:
            status = 1
            try:
                (tmp_path / f"{number}.pem").write_text(authority(tmp_path / "data", SetClock()).bundle)
                status = 0
            finally:
                os._exit(status)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 8
    bundles = {x509.load_pem_x509_certificate(path.read_bytes()) for path in tmp_path.glob("*.pem")}
    assert bundles == roots(authority(tmp_path / "data", SetClock()))
