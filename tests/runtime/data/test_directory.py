import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from souk.kernel.errors import ConfigurationError
from souk.runtime.data.directory import held, installation_secret


def test_one_process_at_a_time(tmp_path: Path) -> None:
    with held(tmp_path / "data") as folder, pytest.raises(ConfigurationError, match=r"in use.*--data"), held(folder):
        pass
    with held(tmp_path / "data"):
        pass


def test_a_file_is_not_a_directory(tmp_path: Path) -> None:
    file = tmp_path / "data"
    file.write_text("")
    for path in (file, file / "below"):
        with pytest.raises(ConfigurationError, match="not a directory"), held(path):
            pass


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_without_rights(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(ConfigurationError, match=r"cannot be written.*--data"), held(tmp_path):
        pass


def test_a_directory_that_no_right_helps_with() -> None:
    with pytest.raises(ConfigurationError, match=r"cannot be written.*--data"), held(Path("/proc/souk")):
        pass


def test_the_secret_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    first = installation_secret(tmp_path)
    assert installation_secret(tmp_path) == first
    assert len(first) == 32
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600


def test_whoever_starts_at_once_agrees_on_one_secret(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(installation_secret, [tmp_path] * 32))) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]


def test_a_damaged_secret_is_named(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"half")
    with pytest.raises(ConfigurationError, match="damaged"):
        installation_secret(tmp_path)
