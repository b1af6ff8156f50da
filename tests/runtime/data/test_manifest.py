"""A data directory knows what it is, and a start that does not fit it is refused in one line."""

import asyncio
import json
import os
import shutil
import sqlite3
import stat
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from souk.kernel.errors import ConfigurationError
from souk.runtime.data import manifest
from souk.runtime.data.manifest import FILES, FLEET, GIVEN, MONOLITH, OWN, Manifest
from souk.testing.processes import PATIENCE, run, system

Tiny = Mapping[str, str]


def line(text: str) -> str:
    """What was said, which must be one line."""
    assert text.startswith("souk: "), text
    assert text.count("\n") == 1, text
    return text


async def used(data: Path, tiny: Tiny) -> dict[str, Any]:
    """A directory on which a system ran; gives its manifest."""
    async with system(data, settings=tiny) as up:
        assert await up.end() == 0
    return json.loads((data / "souk.json").read_text())  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def once_used(tmp_path_factory: pytest.TempPathFactory, tiny: Tiny) -> Path:
    """A directory on which a system ran; to be copied."""
    data = tmp_path_factory.mktemp("used")
    asyncio.run(used(data, tiny))
    return data


@pytest.fixture
def kept(once_used: Path, tmp_path: Path) -> Path:
    """The folder of the test, as a directory on which a system ran."""
    shutil.copytree(once_used, tmp_path, dirs_exist_ok=True)
    return tmp_path


def edit(data: Path, **changes: Any) -> None:
    path = data / "souk.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


async def test_a_start_writes_what_the_directory_is(tmp_path: Path, tiny: Tiny) -> None:
    first = await used(tmp_path, tiny)
    assert first["topology"] == "monolith"
    assert first["databases"] == "files"
    assert first["services"] == {"user": 1}
    assert first["format"] == 1
    assert first["souk"] == manifest.PROGRAM
    assert stat.S_IMODE((tmp_path / "souk.json").stat().st_mode) == 0o600
    second = await used(tmp_path, tiny)
    assert second["installation"] == first["installation"]
    assert second["services"] == {"user": 2}


async def test_a_fleet_does_not_start_on_the_data_of_one_process(kept: Path, tiny: Tiny) -> None:
    ended = await run("up", "--topology", "fleet", "--port", "0", "--data", str(kept), settings=tiny)
    assert ended.status == 1
    assert f"`souk up --data {kept}`" in line(ended.err)


@pytest.mark.parametrize(
    "words",
    [
        ("up", "--port", "0"),
        ("serve", "user"),
        ("parked",),
        ("admin", "create", "a@example.com"),
    ],
)
async def test_one_process_does_not_start_on_the_data_of_a_fleet(
    tmp_path: Path, tiny: Tiny, words: tuple[str, ...]
) -> None:
    manifest.write(tmp_path, Manifest(FLEET, OWN, {"user": 0}, "some"))
    settings = tiny if words[0] in {"up", "serve"} else {}
    ended = await run(*words, "--data", str(tmp_path), settings=settings, given=b"a-long-password\n")
    assert ended.status == 1
    assert f"`souk up --topology fleet --data {tmp_path}`" in line(ended.err)
    assert not list(tmp_path.glob("*.db"))


@pytest.mark.parametrize("words", [("up", "--port", "0"), ("serve", "user"), ("parked",)])
async def test_the_data_of_a_newer_version_is_refused(kept: Path, tiny: Tiny, words: tuple[str, ...]) -> None:
    for newer in ({"souk": "99.1", "format": 1}, {"format": 2, "souk": "0.0"}):
        edit(kept, **newer)
        ended = await run(*words, "--data", str(kept), settings=tiny)
        assert ended.status == 1
        assert "newer than this program" in line(ended.err)


async def test_the_data_of_an_older_version_is_taken_over_aloud(kept: Path, tiny: Tiny) -> None:
    edit(kept, souk="0.0.1")
    log = kept / "log"
    assert (await used(kept, {**tiny, "SOUK_LOG_FILE": str(log)}))["souk"] == manifest.PROGRAM
    assert "used by Souk 0.0.1 and is brought to" in log.read_text()


async def test_a_directory_without_a_manifest_is_recognised(kept: Path, tiny: Tiny) -> None:
    (kept / "souk.json").unlink()
    ended = await run("up", "--topology", "fleet", "--port", "0", "--data", str(kept), settings=tiny)
    assert ended.status == 1
    assert f"`souk up --data {kept}`" in ended.err
    assert (await used(kept, tiny))["services"] == {"user": 1}


def test_a_fleet_without_a_manifest_is_recognised(tmp_path: Path) -> None:
    (tmp_path / "fleet").mkdir()
    (tmp_path / "postgres").mkdir()
    (tmp_path / "fleet" / "credentials.json").write_text('{"postgres": "a", "souk_order": "b"}')
    (tmp_path / "postgres" / "PG_VERSION").write_text("18\n")
    assert manifest.recognised(tmp_path) == Manifest(FLEET, OWN, {"order": 0})
    with pytest.raises(ConfigurationError, match="--topology fleet"):
        manifest.claim(tmp_path, MONOLITH, FILES)
    assert manifest.claim(tmp_path, FLEET, OWN).services == {"order": 0}


@pytest.mark.parametrize(
    ("kept", "asked", "hint"),
    [(FILES, GIVEN, "leave out --postgres"), (OWN, GIVEN, "leave out --postgres"), (GIVEN, FILES, "with --postgres")],
)
def test_databases_elsewhere_are_named(tmp_path: Path, kept: str, asked: str, hint: str) -> None:
    manifest.write(tmp_path, Manifest(FLEET, kept, {"order": 0}, "some"))
    with pytest.raises(ConfigurationError, match=hint):
        manifest.claim(tmp_path, FLEET, asked)


def test_a_start_that_kept_nothing_binds_nobody(tmp_path: Path) -> None:
    first = manifest.claim(tmp_path, MONOLITH, FILES)
    assert manifest.claim(tmp_path, FLEET, OWN).installation == first.installation


async def test_a_damaged_manifest_is_named(kept: Path, tiny: Tiny) -> None:
    (kept / "souk.json").write_text('{"format": ')
    ended = await run("up", "--port", "0", "--data", str(kept), settings=tiny)
    assert ended.status == 1
    assert "souk.json is damaged" in line(ended.err)


async def refused(data: Path, tiny: Tiny) -> str:
    ended = await run("up", "--port", "0", "--data", str(data), settings=tiny)
    assert ended.status == 1
    return line(ended.err)


async def test_a_missing_database_is_not_made_anew(kept: Path, tiny: Tiny) -> None:
    (kept / "user.db").unlink()
    assert "user.db is missing" in await refused(kept, tiny)
    assert not (kept / "user.db").exists()


async def test_a_log_without_its_database_is_refused(tmp_path: Path, tiny: Tiny) -> None:
    (tmp_path / "user.db-wal").write_bytes(b"")
    assert "user.db-wal is here without user.db" in await refused(tmp_path, tiny)


async def test_a_copy_of_a_running_system_is_refused_and_the_original_is_not(tmp_path: Path, tiny: Tiny) -> None:
    data, copy = tmp_path / "data", tmp_path / "copy"
    async with system(data, settings=tiny) as up:
        shutil.copytree(data, copy, ignore=lambda _, names: [name for name in names if name.endswith(".sock")])
        up.process.kill()
        await up.process.wait()
    assert "made while the system ran" in await refused(copy, tiny)
    await used(data, tiny)
    shutil.copytree(data, stopped := tmp_path / "stopped")
    await used(stopped, tiny)


async def test_a_database_of_another_installation_is_refused(tmp_path: Path, tiny: Tiny) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    await used(one, tiny)
    await used(other, tiny)
    shutil.copy(other / "user.db", one / "user.db")
    assert "another installation" in await refused(one, tiny)


async def test_a_database_of_another_time_is_refused(kept: Path, tiny: Tiny) -> None:
    shutil.copy(kept / "user.db", older := kept / "older")
    for _ in range(2):
        await used(kept, tiny)
    shutil.copy(older, kept / "user.db")
    assert "another time" in await refused(kept, tiny)


@pytest.mark.parametrize("killed_between", [0, 1])
async def test_a_kill_between_stamp_and_manifest_is_no_other_time(kept: Path, tiny: Tiny, killed_between: int) -> None:
    with closing(sqlite3.connect(kept / "user.db")) as database:
        database.execute(f"PRAGMA user_version = {1 + killed_between}")
    assert (await used(kept, tiny))["services"] == {"user": 2}


@pytest.mark.parametrize("what", ["directory", "file"])
async def test_what_vanishes_under_a_running_system_makes_it_not_ready(tmp_path: Path, tiny: Tiny, what: str) -> None:
    data, log = tmp_path / "data", tmp_path / "log"
    login = {"email": "a@souk.test", "password": "any-password"}
    async with (
        system(data, settings={**tiny, "SOUK_LOG_FILE": str(log)}) as up,
        httpx.AsyncClient(base_url=up.address, timeout=PATIENCE) as client,
    ):
        assert (await client.post("/api/v1/auth/token", json=login)).status_code == 200
        if what == "directory":
            data.rename(tmp_path / "gone")
            shutil.copytree(tmp_path / "gone", data, ignore=shutil.ignore_patterns("*.sock"))
        else:
            (data / "user.db").unlink()
        answer = await client.post("/api/v1/auth/token", json=login)
        assert answer.status_code == 503, answer.text  # nothing is answered as done that is lost
        async with asyncio.timeout(PATIENCE):
            while (await client.get("/readyz")).status_code != 503:
                await asyncio.sleep(0.05)
        assert log.read_text().count("was removed or replaced while the system runs") == 1
        assert os.fspath(data) in log.read_text()
