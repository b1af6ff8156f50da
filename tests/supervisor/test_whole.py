"""The whole marketplace as a fleet, by the real command: orders, crashes, cleaning up, and what is left behind."""

import asyncio
import os
import signal
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import httpx
import psutil
import pytest

from souk.backing.postgres.server import SUPERUSER
from souk.runtime.data.layout import DataLayout
from souk.testing.processes import run_now
from souk.testing.system import START_LIMIT, STOP_LIMIT, System, fleet, fleet_process, reachable, until
from tests.market.api import log_in, wish

pytestmark = pytest.mark.xdist_group("a fleet")

ORDERS = "/api/v1/orders"
SERVICES = ("product", "user", "inventory", "payment", "order", "notification", "analytics")


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with fleet(tmp_path_factory.mktemp("fleet"), arguments=("--scale", "order=2,gateway=2")) as system:
        yield system


def members(system: System) -> list[psutil.Process]:
    """Everything that the fleet has started, backends of PostgreSQL included."""
    return psutil.Process(system.parts[0].pid).children(recursive=True)


def serving(system: System, service: str) -> list[psutil.Process]:
    return [one for one in members(system) if words(one)[-2:] == ["serve", service]]


def words(process: psutil.Process) -> list[str]:
    """Gives the command line of a process; empty once it has ended."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def postmaster(system: System) -> psutil.Process:
    return next(
        one for one in members(system) if Path(one.exe()).name == "postgres" and one.parent() not in members(system)
    )


def ask(system: System, key: str) -> httpx.Response:
    """Places an order, and repeats it with the same key until there is an answer."""
    end = time.monotonic() + START_LIMIT
    while True:
        try:
            with log_in(system.url, "demo@souk.test", "demo-password") as buyer:
                answer = buyer.post(ORDERS, json=wish(("P-101", 1, 1_200), key=key))
            if answer.status_code not in (202, 503):
                return answer
        except (httpx.TransportError, AssertionError):
            pass
        assert time.monotonic() < end, system.output()
        time.sleep(0.1)


def sockets(data: Path) -> list[Path]:
    return [path for path in data.rglob("*") if path.is_socket()]


def is_free(url: str) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        place = urlsplit(url)
        return probe.connect_ex((str(place.hostname), int(place.port or 0))) != 0


def none_left(processes: list[psutil.Process]) -> bool:
    return not [one for one in processes if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]


def test_an_order_goes_through(system: System) -> None:
    answer = ask(system, "first")
    assert (answer.status_code, answer.json()["status"]) == (201, "CONFIRMED")


def test_it_fits_into_memory(system: System) -> None:
    """1,140 MB when nobody else has the same files in memory: 12 processes of Python, 71 of PostgreSQL."""
    everybody = [psutil.Process(system.parts[0].pid), *members(system)]
    assert sum(one.memory_full_info().pss for one in everybody) < 1_200e6


def test_all_of_it_is_one_process_group(system: System) -> None:
    leader = system.parts[0].pid
    started = psutil.Process(leader).children()
    assert {os.getpgid(one.pid) for one in started} == {leader}


def test_nothing_but_the_gateway_listens_on_tcp(system: System) -> None:
    address = urlsplit(system.url)
    everybody = [psutil.Process(system.parts[0].pid), *members(system)]
    listening = {
        (each.laddr.ip, each.laddr.port, " ".join(words(one)[-2:]) if one is not everybody[0] else "up")
        for one in everybody
        for each in one.net_connections("tcp")
        if each.status == psutil.CONN_LISTEN
    }
    assert {each[:2] for each in listening} == {(address.hostname, address.port)}
    assert {each[2] for each in listening} <= {"serve gateway", "up"}


def test_the_sockets_of_services_are_their_owners_alone(system: System) -> None:
    layout = DataLayout(system.data)
    assert stat.S_IMODE(layout.run_folder().stat().st_mode) == 0o700
    found = {path.name: stat.S_IMODE(path.stat().st_mode) for path in layout.run_folder().glob("*.sock")}
    assert {f"{name}-1.{protocol}.sock" for name in SERVICES for protocol in ("grpc", "rpc")} <= found.keys()
    assert set(found.values()) == {0o600}


def test_what_is_private_is_private(system: System) -> None:
    rights = {path.name: stat.S_IMODE(path.stat().st_mode) for path in system.data.iterdir()}
    assert {name for name, mode in rights.items() if mode & 0o077} == set()
    layout = DataLayout(system.data)
    for path in (layout.control, layout.registry, layout.credentials, layout.of("order-1")):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(system.data.stat().st_mode) == (0o711 if os.geteuid() == 0 else 0o700)


def url_of(system: System, service: str) -> str:
    """The URL that a service was given, read from its own variables."""
    return serving(system, service)[0].environ()["SOUK_POSTGRES"]


async def outcome(url: str, sql: str) -> str:
    try:
        connection = await asyncpg.connect(url)
    except asyncpg.PostgresError as error:
        return type(error).__name__
    try:
        await connection.execute(sql)
    except asyncpg.PostgresError as error:
        return type(error).__name__
    finally:
        await connection.close()
    return "done"


def test_a_service_cannot_reach_what_is_another_services(system: System) -> None:
    own, other = url_of(system, "order"), url_of(system, "payment")
    assert asyncio.run(outcome(own, "SELECT count(*) FROM orders")) == "done"
    assert (
        asyncio.run(outcome(own.replace("/souk_order?", "/souk_payment?"), "SELECT 1")) == "InsufficientPrivilegeError"
    )
    assert asyncio.run(outcome(other.replace("souk_payment:", "souk_order:"), "SELECT 1")) == "InvalidPasswordError"
    for sql in (f"ALTER ROLE {SUPERUSER} PASSWORD 'x'", "CREATE DATABASE more", "COPY orders TO PROGRAM 'cat'"):
        assert asyncio.run(outcome(own, sql)) == "InsufficientPrivilegeError"


def test_every_service_has_its_own_password(system: System) -> None:
    urls = {url_of(system, service) for service in SERVICES if service != "notification"}
    assert len({urlsplit(url).password for url in urls}) == 6


@pytest.mark.parametrize("service", ["order", "payment", "gateway"])
def test_a_service_that_is_killed_comes_back_and_orders_go_on(system: System, service: str) -> None:
    struck = serving(system, service)[0]
    struck.kill()
    assert ask(system, f"after {service}").status_code == 201
    until(lambda: struck.pid not in [one.pid for one in serving(system, service)], STOP_LIMIT, "it is gone")
    there = 1 if service == "payment" else 2
    until(lambda: len(serving(system, service)) == there, START_LIMIT, f"{service} is back")


@pytest.mark.parametrize("program", ["sandbox_server", "valkey.sock", "bus.sock"])
def test_whatever_else_is_killed_comes_back(system: System, program: str) -> None:
    def found() -> list[psutil.Process]:
        return [one for one in members(system) if any(program in word for word in words(one))]

    (struck,) = found()
    struck.kill()
    until(lambda: [one.pid for one in found()] not in ([struck.pid], []), START_LIMIT, f"{program} is back")
    assert ask(system, f"after {program}").status_code == 201


def test_postgres_that_is_killed_comes_back_and_orders_go_on(system: System) -> None:
    postmaster(system).kill()
    assert ask(system, "after postgres").status_code == 201


def test_a_second_one_on_the_same_data_is_refused_in_a_line(system: System) -> None:
    ended = run_now("up", "--topology", "fleet", "--data", str(system.data), "--port", "0")
    assert ended.status == 1
    assert ended.err == (
        f"souk: directory {system.data} is in use by process {system.parts[0].pid}; "
        "stop what uses it, or choose another with --data\n"
    )


def test_a_port_that_is_taken_is_said_before_anything_starts(system: System, tmp_path: Path) -> None:
    port = str(urlsplit(system.url).port)
    ended = run_now("up", "--topology", "fleet", "--demo", "--data", str(tmp_path), "--port", port)
    assert (ended.status, ended.out) == (1, "")
    assert ended.err.startswith(f"souk: port {port} is taken")
    assert ended.err.count("\n") == 1


@pytest.mark.full
def test_the_next_start_takes_over_after_a_supervisor_that_was_killed(system: System) -> None:
    before = members(system)
    answer = ask(system, "before the end")
    os.kill(system.parts[0].pid, signal.SIGKILL)
    system.parts[0].await_end()
    system.start()
    until(lambda: none_left(before), STOP_LIMIT, "what was left is ended")
    replayed = ask(system, "before the end")
    assert (replayed.status_code, replayed.json()["id"]) == (201, answer.json()["id"])


def test_sigterm_leaves_nothing(system: System) -> None:
    before = members(system)
    assert system.stop() == [0], system.output()
    assert none_left(before)
    assert sockets(system.data) == []
    until(lambda: is_free(system.url), STOP_LIMIT, "its port is free")


@pytest.mark.full
def test_to_kill_the_group_ends_all(system: System) -> None:
    system.start()
    before = members(system)
    system.kill()
    until(lambda: none_left(before), STOP_LIMIT, "nothing runs any more")
    until(lambda: is_free(system.url), STOP_LIMIT, "its port is free")


@pytest.mark.full
def test_a_crash_loop_is_seen_and_can_be_stopped(tmp_path: Path) -> None:
    with reachable(tmp_path) as place:
        up = fleet_process(place / "data", place, r"payment-1 has died \(souk: payment: provider_timeout must be")
        up.spawn({"SOUK_PAYMENT_PROVIDER_TIMEOUT": "never"})
        up.await_ready()
        until(lambda: "gateway-1 is ready" in up.stdout, START_LIMIT, "the rest comes up")
        until(lambda: "deaths so far: 2" in up.stdout, START_LIMIT, "it is tried again")
        address = next(line for line in up.stdout.splitlines() if line.startswith("gateway-1 is ready")).split()[4]
        assert httpx.get(f"http://{address}/readyz").status_code == 503
        up.send(signal.SIGTERM)
        assert up.await_end() == 0
        assert "marketplace is ready" not in up.stdout
