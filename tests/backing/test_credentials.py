"""Passwords of database roles."""

import stat
from pathlib import Path
from urllib.parse import quote

import pytest

from souk.backing.credentials import Credentials
from souk.kernel.errors import ConfigurationError


def test_a_password_is_made_once_kept_and_private(tmp_path: Path) -> None:
    path = tmp_path / "credentials.json"
    first = Credentials(path)
    assert "souk_order" not in first
    password = first.password("souk_order")
    assert len(password) >= 32
    assert quote(password, safe="") == password
    assert Credentials(path).password("souk_order") == password != first.password("souk_user")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("text", ["", "[]", "{"])
def test_a_damaged_file_is_said_in_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "credentials.json"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=r"credentials\.json is damaged"):
        Credentials(path)
