"""Engines run as a user of their own, who can reach their data and nothing else of the owner's."""

import os
import pwd
import re
import stat
from pathlib import Path

import pytest

from souk.backing import run_as as engine_user_module
from souk.backing.run_as import NAME, engine_user, hand_over, let_pass, require_reachable
from souk.kernel.errors import ConfigurationError
from souk.testing.system import reachable

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="an engine runs as another user only when this is root")


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
