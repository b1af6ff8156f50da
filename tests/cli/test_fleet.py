"""Commands that operate a running fleet, against one that starts nothing."""

import asyncio
import json
import os
import re
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from souk.admin.process_record import ProcessesFile
from souk.admin.process_status import ENGINE, SERVICE
from souk.resilience.breaker.breaker import State
from souk.runtime.data.directory import held
from souk.runtime.data.layout import DataLayout
from souk.telemetry.proc import boot
from souk.testing.fake_fleet import FakeFleet, FakeProcess, fake_fleet
from souk.testing.processes import Ended, begin, run, system
from souk.testing.terminal import on_a_terminal

TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture
async def fleet(tmp_path: Path) -> AsyncIterator[FakeFleet]:
    async with fake_fleet(tmp_path) as fleet:
        fleet.add_engine("postgres", ENGINE)
        yield fleet


@pytest.fixture
async def order(fleet: FakeFleet) -> FakeProcess:
    return await fleet.add("order", "order-1")


async def souk(fleet: FakeFleet, *arguments: str) -> Ended:
    return await run(*arguments, "--data", str(fleet.data))


def fails(ended: Ended, text: str) -> None:
    assert ended.status != 0
    assert text in ended.err
    assert ended.err.count("\n") == 1, ended.err


async def test_ps_in_a_pipe_is_plain_columns(fleet: FakeFleet, order: FakeProcess) -> None:
    ended = await souk(fleet, "ps")
    assert ended.status == 0, ended.err
    assert "\x1b" not in ended.out
    heading, engine, service = ended.out.splitlines()
    assert heading.split()[:4] == ["service", "instance", "state", "pid"]
    assert engine.split()[:4] == ["postgres", "postgres", "ready", "1"]
    assert service.split()[:5] == ["order", "order-1", "ready", str(os.getpid()), "127.0.0.1:1"]


async def test_on_a_terminal_states_are_coloured(fleet: FakeFleet, order: FakeProcess) -> None:
    order.breaker("payment").force_open(0.0)
    data = ("--data", str(fleet.data))
    assert b"\x1b[32mready" in await asyncio.to_thread(on_a_terminal, "ps", *data)
    assert b"\x1b[31mforced open" in await asyncio.to_thread(on_a_terminal, "breakers", *data)
    DataLayout(fleet.data).log("order-1").write_text("a line\n")
    assert b"order-1 |\x1b[0m a line" in await asyncio.to_thread(on_a_terminal, "logs", "order", *data)


@pytest.mark.parametrize("columns", [60, 80, 120, 200])
async def test_ps_fits_on_the_terminal(fleet: FakeFleet, columns: int) -> None:
    note = "payment: no instance is known"
    fleet.health.report("payment", "no instance is known")
    for number in range(1, 4):
        await fleet.add("notification", f"notification-{number}")
    data = ("--data", str(fleet.data))
    shown = (await asyncio.to_thread(on_a_terminal, "ps", *data, columns=columns)).decode()
    lines = re.sub(r"\x1b\[[0-9;]*m", "", shown).replace("\r", "").splitlines()
    assert max(map(len, lines)) <= columns, shown
    heading, *rows = lines
    assert [row.split()[0 if "service" not in heading else 1] for row in rows[:4]] == [
        "postgres", "notification-1", "notification-2", "notification-3"
    ]  # fmt: skip
    assert all(re.search(rf"{os.getpid()}\b", row) for row in rows[1:4]), "a number is not cut"
    assert note in "".join(lines) or columns == 60


async def test_ps_as_json_tells_what_each_process_says_of_itself(fleet: FakeFleet, order: FakeProcess) -> None:
    with order.inspected.traffic:
        fleet.away = "nobody answers at unix:/x"
        engine, service = json.loads((await souk(fleet, "ps", "--json")).out)
    assert (engine["kind"], engine["status"]) == ("engine", None)
    assert (service["kind"], service["restarts"], service["why"]) == ("service", 0, "")
    status = service["status"]
    assert (status["version"], status["requests_in_flight"], status["requests_served"]) == ("1.2.3", 1, 0)
    assert status["resident_bytes"] > 10_000_000
    assert status["registry_away"] == "nobody answers at unix:/x"


async def test_ps_names_what_a_process_depends_on_and_since_when(fleet: FakeFleet, order: FakeProcess) -> None:
    fleet.health.report("inventory")
    fleet.health.report("payment", "no instance is known", blocks=True)
    shown = (await souk(fleet, "ps")).out.splitlines()[-1]
    assert re.search(r"payment: no instance is known, since \d\d:\d\d:\d\d UTC$", shown), shown
    _, service = json.loads((await souk(fleet, "ps", "--json")).out)
    inventory, payment = service["status"]["checks"]
    assert (inventory["name"], inventory["state"], inventory["blocks"]) == ("inventory", "ok", False)
    assert (payment["state"], payment["detail"], payment["blocks"]) == ("failing", "no instance is known", True)


async def test_ps_says_what_is_wrong_with_a_process(fleet: FakeFleet, order: FakeProcess) -> None:
    fleet.away = "nobody answers"
    assert "uses the last known instances: nobody answers" in (await souk(fleet, "ps")).out
    Path(order.view.control).unlink()
    assert (await souk(fleet, "ps")).out.splitlines()[-1].endswith("does not answer")


async def test_ps_watches_and_tells_changes(fleet: FakeFleet, order: FakeProcess) -> None:
    process = await begin("ps", "--watch", "--data", str(fleet.data))
    assert process.stdout is not None
    async with asyncio.timeout(30):
        assert b"postgres" in await process.stdout.readline()
        assert b"order-1  ready" in await process.stdout.readline()
        await fleet.stop("order")
        assert b"order-1  stopped" in await process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, err = await process.communicate()
    assert (process.returncode, err.strip()) == (130, b"")


async def test_scale(fleet: FakeFleet, order: FakeProcess) -> None:
    await fleet.add("inventory", "inventory-1")
    ended = await souk(fleet, "scale", "order=3", "inventory=1")
    assert (ended.status, ended.out) == (0, "order: 3 processes\ninventory: 1 process\n")
    assert fleet.asked == ["scale order 3", "scale inventory 1"]
    await fleet.stop("inventory")
    assert (
        await souk(fleet, "scale", "inventory=2")
    ).out == "inventory: 2 processes once `souk start inventory` starts it\n"


@pytest.mark.parametrize(
    "text", ["order", "order=0", "order=x", "=3", "order=-1", "order=99999", f"order={'9' * 5_000}"]
)
async def test_scale_of_what_is_no_number_is_refused_at_once(fleet: FakeFleet, text: str) -> None:
    ended = await souk(fleet, "scale", text)
    assert ended.status == 2
    assert "must read SERVICE=N" in ended.err
    assert fleet.asked == []


async def test_an_unknown_service_is_said_in_one_line(fleet: FakeFleet, order: FakeProcess) -> None:
    for arguments in (("scale", "ordr=2"), ("restart", "ordr"), ("stop", "ordr"), ("start", "ordr")):
        fails(await souk(fleet, *arguments), "souk: there is no service 'ordr' here")
    fails(await souk(fleet, "logs", "ordr"), "souk: there is no service or process 'ordr'; the nearest is 'order'")


async def test_restart_tells_each_step_while_it_goes_on(fleet: FakeFleet, order: FakeProcess) -> None:
    process = await begin("restart", "order", "--data", str(fleet.data))
    assert process.stdout is not None
    async with asyncio.timeout(30):
        assert await process.stdout.readline() == b"order: a new one starts\n"
        fleet.gate.set()
        out, err = await process.communicate()
    assert (process.returncode, err) == (0, b"")
    assert out == b"order: the old one has ended\norder: restarted\n"


async def test_a_restart_goes_on_without_who_asked_for_it(fleet: FakeFleet, order: FakeProcess) -> None:
    process = await begin("restart", "order", "--data", str(fleet.data))
    assert process.stdout is not None
    async with asyncio.timeout(30):
        await process.stdout.readline()
        process.kill()
        await process.communicate()
        fleet.gate.set()
        while "restarted order" not in fleet.asked:
            await asyncio.sleep(0.01)


async def test_restart_of_all_is_that_of_services(fleet: FakeFleet, order: FakeProcess) -> None:
    fleet.gate.set()
    await fleet.add("order", "order-2")
    await fleet.add("payment", "payment-1")
    assert (await souk(fleet, "restart", "--all")).status == 0
    assert [asked for asked in fleet.asked if asked.startswith("restart ")] == ["restart order", "restart payment"]
    assert (await souk(fleet, "restart")).status == 2


async def test_stop_and_start(fleet: FakeFleet, order: FakeProcess) -> None:
    assert (await souk(fleet, "stop", "order")).out == "order: stopped; `souk start order` starts it again\n"
    assert (await souk(fleet, "start", "order")).out == "order: ready\n"
    assert fleet.asked == ["stop order", "start order"]


async def test_logs_of_all_processes_of_a_service_are_in_order_of_time(fleet: FakeFleet, order: FakeProcess) -> None:
    await fleet.add("order", "order-2")
    first, second = (DataLayout(fleet.data).log(name) for name in ("order-1", "order-2"))
    first.write_text(
        'ready order 127.0.0.1:1\n{"timestamp":"2026-01-01T00:00:01Z"}\n{"timestamp":"2026-01-01T00:00:03Z"}\n'
    )
    second.write_text('{"timestamp":"2026-01-01T00:00:02Z"}\n  a line of a traceback\n')
    ended = await souk(fleet, "logs", "order")
    assert ended.out.splitlines() == [
        "order-1 | ready order 127.0.0.1:1",
        'order-1 | {"timestamp":"2026-01-01T00:00:01Z"}',
        'order-2 | {"timestamp":"2026-01-01T00:00:02Z"}',
        "order-2 |   a line of a traceback",
        'order-1 | {"timestamp":"2026-01-01T00:00:03Z"}',
    ]
    assert (await souk(fleet, "logs", "order-2", "-n", "1")).out == "order-2 |   a line of a traceback\n"


async def test_logs_are_searched_in_all_processes_and_also_when_nothing_runs(
    fleet: FakeFleet, order: FakeProcess, tmp_path: Path
) -> None:
    lines = (
        '{"event":"charged","level":"info","timestamp":"2026-01-01T00:00:01Z","trace_id":"T","order":"ORD-1"}',
        '{"event":"refused","level":"warning","timestamp":"2026-01-01T00:00:02Z","trace_id":"T"}',
        '{"event":"other","level":"warning","timestamp":"2026-01-01T00:00:03Z"}',
    )
    stopped = tmp_path / "stopped"
    for instance, line in zip(("order-1", "order-1", "payment-7"), lines, strict=True):
        for data in (fleet.data, stopped):
            log = DataLayout(data).log(instance)
            log.parent.mkdir(parents=True, exist_ok=True)
            with log.open("a") as file:
                file.write(line.replace('"T"', f'"{TRACE}"') + "\n")
    for at in ((), ("--data", str(stopped))):
        assert (await souk(fleet, "logs", *at)).out.count("\n") == 3
        for options in (("--trace", TRACE), ("--order", "ORD-1"), ("order", "--until", "2026-01-02")):
            assert (await souk(fleet, "logs", *options, *at)).out.count("\n") == 2, options
        ended = await souk(fleet, "logs", "--level", "warning", "-n", "1", "--json", *at)
        assert json.loads(ended.out) == {"instance": "payment-7", **json.loads(lines[2])}
        assert "older lines match as well" in ended.err
        assert (await souk(fleet, "logs", "--grep", "REFUSED", "--since", "1h", *at)).out == ""
        assert "ordr" in (await souk(fleet, "logs", "ordr", *at)).err
    assert "must be 32 hexadecimal digits" in (await souk(fleet, "logs", "--trace", "0af")).err
    assert "must read like 10m (ago)" in (await souk(fleet, "logs", "--since", "soon")).err


async def test_logs_follow(fleet: FakeFleet, order: FakeProcess) -> None:
    log = DataLayout(fleet.data).log("order-1")
    log.write_text("one\ntwo\n")
    process = await begin("logs", "order", "-f", "-n", "1", "--data", str(fleet.data))
    assert process.stdout is not None
    async with asyncio.timeout(30):
        assert await process.stdout.readline() == b"order-1 | two\n"
        with log.open("a") as more:
            more.write("three\n")
        assert await process.stdout.readline() == b"order-1 | three\n"
    process.send_signal(signal.SIGINT)
    await process.communicate()
    assert process.returncode == 130


async def test_breakers_are_listed(fleet: FakeFleet, order: FakeProcess) -> None:
    assert (await souk(fleet, "breakers")).out == "no breaker yet: each is made with the first call\n"
    breaker = order.breaker("payment", "Charge")
    for _ in range(20):
        permit = breaker.acquire(0.0)
        assert permit is not None
        permit.fail(0.0)
    (one,) = json.loads((await souk(fleet, "breakers", "--json")).out)
    assert (one["process"], one["caller"], one["callee"], one["method"]) == ("order-1", "order", "payment", "Charge")
    assert (one["state"], one["calls"], one["failure_rate"]) == ("open", 0, None)
    heading, line = (await souk(fleet, "breakers")).out.splitlines()
    assert heading.split() == [
        "process",
        "caller",
        "callee",
        "state",
        *("failed", "calls", "refused", "since", "until"),
    ]
    assert line.split()[:4] == ["order-1", "order", "payment/Charge", "open"]


async def test_breakers_are_forced_and_come_back(fleet: FakeFleet, order: FakeProcess) -> None:
    breaker = order.breaker("payment")
    other = (await fleet.add("user", "user-1")).breaker("payment")
    ended = await souk(fleet, "breakers", "--force", "payment=open", "--caller", "order")
    assert "forced open" in ended.out
    assert (breaker.state, other.state) == (State.FORCED_OPEN, State.CLOSED)
    assert (await souk(fleet, "breakers", "--force", "payment=disabled")).status == 0
    assert (breaker.state, other.state) == (State.DISABLED, State.DISABLED)
    assert (await souk(fleet, "breakers", "--force", "payment=auto")).status == 0
    assert (breaker.state, other.state) == (State.CLOSED, State.CLOSED)


async def test_a_process_that_starts_later_is_told(fleet: FakeFleet, order: FakeProcess) -> None:
    order.breaker("payment")
    await souk(fleet, "breakers", "--force", "payment=open")
    late = await fleet.add("order", "order-2", pid=2)
    breaker = late.breaker("payment")
    async with asyncio.timeout(120):
        while breaker.state is not State.FORCED_OPEN:
            await asyncio.sleep(0.01)
    assert late.breaker("payment").state is State.FORCED_OPEN  # and one that is made with a later call


async def test_breakers_that_are_not_there_are_named(fleet: FakeFleet, order: FakeProcess) -> None:
    order.breaker("payment")
    fails(
        await souk(fleet, "breakers", "--force", "xyz=open"),
        "there is no breaker around 'xyz'; there are payment",
    )
    fails(
        await souk(fleet, "breakers", "--caller", "oder"),
        "no breaker guards calls of 'oder'; the callers are order",
    )
    assert (await souk(fleet, "breakers", "--caller", "oder", "--json")).out == "[]\n"
    fails(
        await souk(fleet, "breakers", "--force", "paymnt=open"),
        "there is no breaker around 'paymnt'; the nearest is 'payment'",
    )
    fails(
        await souk(fleet, "breakers", "--force", "payment=open", "--caller", "oder"),
        "there is no caller of payment 'oder'; the nearest is 'order'",
    )
    ended = await souk(fleet, "breakers", "--force", "payment=shut")
    assert ended.status == 2
    assert "one of open, closed, disabled, metrics-only, auto" in ended.err


async def test_a_silent_process_is_named_and_fails_the_command(fleet: FakeFleet, order: FakeProcess) -> None:
    order.breaker("payment")
    other = await fleet.add("order", "order-2")
    Path(other.view.control).unlink()
    fails(await souk(fleet, "breakers"), "souk: order-2 does not answer")


@pytest.mark.parametrize(
    "arguments", [("ps",), ("scale", "order=2"), ("stop", "order"), ("logs", "order"), ("breakers",)]
)
async def test_without_a_system_it_is_said_what_to_do(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    fails(
        await run(*arguments, "--data", str(tmp_path)),
        f"souk: no system runs on {tmp_path}; start one with `souk up --data {tmp_path}`",
    )
    assert list(tmp_path.iterdir()) == []


async def test_one_that_starts_or_ends_or_lost_its_supervisor_is_not_said_not_to_run(tmp_path: Path) -> None:
    layout = DataLayout(tmp_path)
    layout.prepare()
    with held(tmp_path):
        fails(await run("ps", "--data", str(tmp_path)), f"the system on {tmp_path} is starting, or ending; ask again")
    left = await asyncio.create_subprocess_exec("sleep", "60")
    try:
        ProcessesFile(layout.processes, boot()).add("order-1", SERVICE, signal.SIGTERM, left.pid, ("sleep", "60"))
        fails(await run("ps", "--data", str(tmp_path)), "was killed, and what it left is ending: order-1; ask again")
    finally:
        left.kill()
        await left.wait()


async def test_of_a_fleet_that_is_stopped_the_next_start_is_one_of_a_fleet(tmp_path: Path) -> None:
    DataLayout(tmp_path).prepare()
    fails(await run("ps", "--data", str(tmp_path)), f"start one with `souk up --topology fleet --data {tmp_path}`")
    (tmp_path / "order.db").touch()
    fails(await run("ps", "--data", str(tmp_path)), f"start one with `souk up --data {tmp_path}`")


async def test_what_a_killed_system_left_is_no_system(tmp_path: Path) -> None:
    async with fake_fleet(tmp_path):
        os.link(DataLayout(tmp_path).control, tmp_path / "kept")
    (tmp_path / "kept").rename(DataLayout(tmp_path).control)
    fails(await run("ps", "--data", str(tmp_path)), "no system runs on")


async def test_a_system_of_one_process_can_be_looked_at(tmp_path: Path) -> None:
    async with system(tmp_path, "--demo", settings={"SOUK_METRICS_PORT": "0"}) as up:
        data = ("--data", str(tmp_path))
        async with httpx.AsyncClient(base_url=up.address) as client:
            await client.get("/api/v1/products")
        (process,) = json.loads((await run("ps", "--json", *data)).out)
        assert (process["kind"], process["state"], process["pid"]) == ("system", "ready", up.process.pid)
        assert up.address == f"http://{process['address']}"
        assert process["status"]["requests_served"] >= 1
        async with httpx.AsyncClient(base_url=f"http://{process['status']['metrics_address']}") as client:
            assert "souk_breaker_state" in (await client.get("/metrics")).text
        breakers = json.loads((await run("breakers", "--json", *data)).out)
        found = {(one["caller"], one["callee"]) for one in breakers}
        assert {("gateway", "product"), ("payment", "card-provider")} <= found, "what was called has breakers"
        uses = [one["method"] for one in breakers if one["callee"] == "card-provider"]
        assert uses == ["", "in-background"], "one that is for one use of what is outside is around the same"
        assert (await run("breakers", "--force", "product=open", *data)).status == 0
        async with httpx.AsyncClient(base_url=up.address) as client:
            assert (await client.get("/api/v1/products")).status_code == 503
        assert (await run("breakers", "--force", "product=auto", *data)).status == 0
        async with httpx.AsyncClient(base_url=up.address) as client:
            assert (await client.get("/api/v1/products")).status_code == 200
        for arguments in (("scale", "order=2"), ("restart", "order"), ("stop", "order"), ("start", "order")):
            fails(await run(*arguments, *data), "souk: this system is one process")
        name = process["service"]
        found = (await run("logs", name, "--grep", "/api/v1/products", "--json", *data)).out.splitlines()
        assert [json.loads(line)["status"] for line in found][-2:] == [503, 200], "the log is kept with the data"
        await up.end()
    assert (await run("logs", name, "--grep", "/api/v1/products", "--json", *data)).out.splitlines() == found
    assert not list((tmp_path / "run").glob("*.sock"))


async def test_a_long_name_of_the_directory_does_no_harm(tmp_path: Path) -> None:
    data = tmp_path / ("long" * 30)
    async with system(data, "--demo"):
        assert len(json.loads((await run("ps", "--json", "--data", str(data))).out)) == 1
