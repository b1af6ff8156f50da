"""What api.md promises of `souk up`, tried on a process of its own."""

import asyncio
import signal
import socket
import sqlite3
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest

from souk.testing.processes import PATIENCE, Ended, run, system

Tiny = Mapping[str, str]

LOGIN = "/api/v1/auth/token"


async def seen(path: Path) -> None:
    async with asyncio.timeout(PATIENCE):
        while not path.exists():
            await asyncio.sleep(0.01)


async def login(url: str, password: str = "any-password") -> int:
    async with httpx.AsyncClient(base_url=url, timeout=PATIENCE) as client:
        answer = await client.post(LOGIN, json={"email": "a@souk.test", "password": password})
    assert answer.status_code == 200, answer.text
    return int(answer.json()["expiresIn"])


async def test_it_is_ready_when_it_says_so(tmp_path: Path, tiny: Tiny) -> None:
    async with (
        system(tmp_path / "data", "--demo", settings=tiny) as up,
        httpx.AsyncClient(base_url=up.address) as client,
    ):
        assert (await client.get("/readyz")).status_code == 200
        assert (await client.get("/healthz")).status_code == 200
        assert b"process_resident_memory_bytes" in (await client.get("/metrics")).content


async def test_asked_to_restart_all_it_says_why_not(tmp_path: Path, tiny: Tiny) -> None:
    data = tmp_path / "data"
    async with system(data, settings=tiny):
        ended = await run("restart", "--all", "--data", str(data), settings=tiny)
    assert ended.status == 1
    assert ended.err.startswith("souk: this system is one process, which is stopped and started as a whole"), ended.err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_asked_to_stop_it_finishes_what_runs_and_exits_0(
    tmp_path: Path, tiny: Tiny, number: signal.Signals
) -> None:
    async with system(tmp_path / "data", settings=tiny) as up:
        request = asyncio.create_task(login(up.address, "wait-for-me"))
        folder = tmp_path / "data" / "user"
        await seen(folder / "waiting")
        ending = asyncio.create_task(up.end(number))
        await refused(up.address)
        (folder / "go").touch()
        assert await request == 1
        assert await ending == 0
        assert (folder / "drained").exists()


async def refused(url: str) -> None:
    """Waits until nobody listens there any more."""
    host, port = url.removeprefix("http://").split(":")
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                with socket.create_connection((host, int(port)), timeout=1):
                    await asyncio.sleep(0.01)
            except ConnectionError:
                return


async def test_asked_twice_it_exits_at_once(tmp_path: Path, tiny: Tiny) -> None:
    async with system(tmp_path / "data", settings=tiny) as up:
        request = asyncio.create_task(login(up.address, "wait-for-me"))
        await seen(tmp_path / "data" / "user" / "waiting")
        up.process.send_signal(signal.SIGINT)
        await refused(up.address)
        assert await up.end(signal.SIGINT) == 128 + signal.SIGINT
        with pytest.raises(httpx.TransportError):
            await request


async def test_killed_it_starts_again_and_remembers(tmp_path: Path, tiny: Tiny) -> None:
    async with system(tmp_path / "data", settings=tiny) as up:
        assert await login(up.address) == 1
        assert await up.end(signal.SIGKILL) == -signal.SIGKILL
    async with system(tmp_path / "data", settings=tiny) as up:
        assert await login(up.address) == 2


async def test_its_data_is_for_its_owner_alone(tmp_path: Path, tiny: Tiny) -> None:
    async with system(tmp_path / "data", settings=tiny):
        for path in (tmp_path / "data", *(tmp_path / "data").rglob("*")):
            assert not path.stat().st_mode & 0o077, path


async def test_what_waits_is_in_the_metrics(tmp_path: Path, tiny: Tiny) -> None:
    heard = {"SOUK_SUBSCRIPTIONS": "mail/all=shop.user.v1.UserDeleted"}
    async with (
        system(tmp_path / "data", "--demo", settings={**tiny, **heard}) as up,
        httpx.AsyncClient(base_url=up.address) as client,
    ):
        async with asyncio.timeout(PATIENCE):
            while 'souk_outbox_lag_seconds{consumer="mail/all",service="user"} 0.0' not in await metrics(client):
                await asyncio.sleep(0.05)
        assert 'souk_outbox_events{consumer="mail/all",service="user",state="parked"} 0.0' in await metrics(client)


async def metrics(client: httpx.AsyncClient) -> str:
    return (await client.get("/metrics")).text


async def test_demo_data_is_loaded_once_and_on_loopback(tmp_path: Path, tiny: Tiny) -> None:
    for _ in range(2):
        async with system(tmp_path / "data", "--demo", settings=tiny) as up:
            assert up.address.startswith("http://127.0.0.1:")
            assert await up.end() == 0
    with sqlite3.connect(tmp_path / "data" / "user.db") as database:
        assert database.execute("SELECT count(*) FROM tiny_demo").fetchone() == (1,)


async def test_a_command_can_follow(tmp_path: Path, tiny: Tiny) -> None:
    async with system(tmp_path / "data", "--then", "nonsense", settings=tiny) as up:
        async with asyncio.timeout(PATIENCE):
            while b"`souk nonsense` ended with status 2" not in await up.process.stdout.readline():
                pass
        assert await login(up.address) == 1


async def test_a_command_that_follows_ends_with_the_system(tmp_path: Path, tiny: Tiny) -> None:
    async with system(tmp_path / "data", "--then", "linger", settings=tiny) as up:
        await seen(tmp_path / "data" / "user" / "lingers")
        assert await up.end(signal.SIGINT) == 0


def one_line(ended: Ended) -> str:
    assert ended.status == 1, ended.err
    assert ended.out == ""
    said = "".join(line for line in ended.err.splitlines(keepends=True) if not line.startswith("{"))  # not the log
    assert said.startswith("souk: ")
    assert said.count("\n") == 1
    return said


async def test_a_taken_port_is_said_in_one_line(tmp_path: Path, tiny: Tiny) -> None:
    async with system(tmp_path / "one", settings=tiny) as first:
        port = first.address.rpartition(":")[2]
        said = one_line(await run("up", "--port", port, "--data", str(tmp_path / "two"), settings=tiny))
    assert f"port {port} is taken" in said
    assert not (tmp_path / "two").exists()


async def test_a_directory_in_use_is_said_in_one_line(tmp_path: Path, tiny: Tiny) -> None:
    async with system(tmp_path / "data", settings=tiny):
        said = one_line(await run("up", "--port", "0", "--data", str(tmp_path / "data"), settings=tiny))
    assert "in use" in said


async def test_a_directory_that_cannot_be_is_said_in_one_line(tmp_path: Path, tiny: Tiny) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", Path("/proc/souk")):
        assert str(path) in one_line(await run("up", "--port", "0", "--data", str(path), settings=tiny))


async def test_a_damaged_file_is_said_in_one_line(tmp_path: Path, tiny: Tiny) -> None:
    (tmp_path / "user.db").write_bytes(b"not a database, but long enough to look at" * 100)
    assert "user.db" in one_line(await run("up", "--port", "0", "--data", str(tmp_path), settings=tiny))


async def test_a_locked_file_is_said_in_one_line(tmp_path: Path, tiny: Tiny) -> None:
    with sqlite3.connect(tmp_path / "user.db", isolation_level=None) as other:
        other.execute("PRAGMA journal_mode = WAL")
        other.execute("BEGIN EXCLUSIVE")
        said = one_line(await run("up", "--port", "0", "--data", str(tmp_path), settings=tiny))
    other.close()
    assert "user.db" in said


async def test_an_unknown_setting_is_said_in_one_line(tmp_path: Path, tiny: Tiny) -> None:
    said = one_line(await run("up", "--port", "0", "--data", str(tmp_path), settings={**tiny, "SOUK_PROT": "1"}))
    assert "SOUK_PROT" in said
    assert "SOUK_PORT" in said
