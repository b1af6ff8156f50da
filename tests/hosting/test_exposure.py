"""What a system shows, and to whom, unless it is told otherwise: addresses, rights of files, passwords."""

import asyncio
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

import psutil
import pytest

from souk.cli.concealing import without
from souk.kernel.errors import ConfigurationError
from souk.runtime.config.environment import read
from souk.testing.processes import run, start, system

PASSWORD = "a-password-that-nobody-may-see"
NOBODY_THERE = f"postgresql://souk:{PASSWORD}@127.0.0.1:9/{{service}}"


async def test_without_a_word_it_listens_on_loopback_alone(tmp_path: Path, tiny: Mapping[str, str]) -> None:
    async with system(tmp_path / "data", settings=tiny) as up:
        listening = [one for one in psutil.Process(up.process.pid).net_connections() if one.status == "LISTEN"]
        assert {one.laddr.ip for one in listening} == {"127.0.0.1"}


async def test_told_so_it_listens_elsewhere(tmp_path: Path, tiny: Mapping[str, str]) -> None:
    async with system(tmp_path / "data", "--host", "0.0.0.0", settings=tiny) as up:
        listening = [one for one in psutil.Process(up.process.pid).net_connections() if one.status == "LISTEN"]
        assert "0.0.0.0" in {one.laddr.ip for one in listening}


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o1777])
@pytest.mark.parametrize("command", [("up",), ("serve", "user"), ("serve", "gateway")])
async def test_a_data_directory_that_others_may_write_is_refused_in_a_line(
    tmp_path: Path, tiny: Mapping[str, str], mode: int, command: tuple[str, ...]
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    data.chmod(mode)
    ended = await run(*command, "--port", "0", "--data", str(data), settings=tiny)
    assert ended.status == 1
    assert ended.err.splitlines()[-1] == (
        f"souk: other users may write to the data directory {data} (mode {mode:04o}); close it with "
        f"`chmod go-w {data}`, or choose another with --data"
    )
    assert list(data.iterdir()) == [], "nothing is written"


async def test_whatever_the_umask_nobody_else_reads_what_is_written(tmp_path: Path, tiny: Mapping[str, str]) -> None:
    data, before = tmp_path / "data", os.umask(0)
    try:
        async with system(data, settings={**tiny, "SOUK_LOG_FILE": str(data / "log")}) as up:
            assert await up.end() == 0
    finally:
        os.umask(before)
    open_to_others = {path for path in (data, *data.rglob("*")) if stat.S_IMODE(path.lstat().st_mode) & 0o077}
    assert open_to_others == set()


async def test_a_password_on_the_command_line_is_taken_out_of_it(tmp_path: Path) -> None:
    data = ("--data", str(tmp_path / "data"), "--port", "0")
    for flag in (("--postgres", NOBODY_THERE), (f"--redis=redis://x:{PASSWORD}@127.0.0.1:9/0",)):
        process = await start("up", *data, *flag)
        try:
            assert process.stderr is not None
            warned = (await asyncio.wait_for(process.stderr.readline(), 60)).decode()
            assert re.match(r"souk: a password in --(postgres|redis) can be read by every user", warned), warned
            name = flag[0][2:].partition("=")[0]
            assert f"SOUK_{name.upper()}" in warned
            found = psutil.Process(process.pid)
            while found.is_running() and found.status() != psutil.STATUS_ZOMBIE:
                words = found.cmdline()
                if words and not any(PASSWORD in word for word in words):
                    break
                await asyncio.sleep(0.01)
            assert not any(PASSWORD in word for word in words)
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        (["up", "--postgres", "u", "--demo"], ["up", "--demo"]),
        (["up", "--postgres=u", "--demo"], ["up", "--demo"]),
        (["up", "--redis", "u"], ["up", "--redis", "u"]),
        (["up", "--then", "u"], ["up", "--then", "u"]),
    ],
)
def test_only_what_is_secret_is_taken_out(words: list[str], kept: list[str]) -> None:
    assert without(words, {"postgres": "u"}) == kept


def test_an_url_may_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "url").write_text(f"{NOBODY_THERE}\n")
    assert read({"SOUK_POSTGRES": f"@{tmp_path / 'url'}"}).data.postgres == NOBODY_THERE
    with pytest.raises(ConfigurationError, match=r"SOUK_REDIS: its value names a file that cannot be read"):
        read({"SOUK_REDIS": f"@{tmp_path / 'nothing'}"})
