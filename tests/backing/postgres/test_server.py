"""A fleet's PostgreSQL server: its data directory, its settings, and what is reported when it cannot be made."""

import os
import stat
from pathlib import Path

import pytest

from souk.backing.postgres.binaries import find_binaries, version
from souk.backing.postgres.server import PostgresCluster, cluster_in, initdb
from souk.backing.run_as import engine_user, let_pass
from souk.kernel.errors import ConfigurationError
from souk.runtime.data.postgres_version import data_version
from souk.telemetry.proc import kernel
from souk.testing.system import reachable

NOT_ALWAYS = ("io_method", "recovery_init_sync_method")
"""Settings that older servers do not know; unknown ones keep a server from starting."""


@pytest.mark.parametrize(
    ("made_by", "known"), [("13", set()), ("17", {"recovery_init_sync_method"}), ("18", {*NOT_ALWAYS})]
)
def test_a_server_is_told_only_what_its_version_knows(tmp_path: Path, made_by: str, known: set[str]) -> None:
    (tmp_path / "PG_VERSION").write_text(made_by)
    told = PostgresCluster(tmp_path, tmp_path, tmp_path).command(connections=10).words
    if kernel() < (5, 8):
        known = known - {"recovery_init_sync_method"}
    assert {name for name in NOT_ALWAYS if any(word.startswith(f"{name}=") for word in told)} == known


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
