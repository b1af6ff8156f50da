"""The file of other issuers: what it says is read, and a mistake is told in one line."""

from pathlib import Path

import pytest

from souk.gateway.settings import IssuerSettings
from souk.kernel.errors import ConfigurationError
from souk.runtime.config.issuers import read_issuers

GOOD = 'issuer = "https://login.example.com/realms/staff"\naudience = "souk"\n'


def test_without_a_file_there_are_none() -> None:
    assert read_issuers(None) == ()


def test_a_table_is_an_issuer(tmp_path: Path) -> None:
    path = tmp_path / "issuers.toml"
    path.write_text(
        f'[staff]\n{GOOD}algorithms = ["ES256", "PS256"]\njwks_hosts = ["keys.example.com:8443"]\n'
        'roles_claim = "realm_access.roles"\nroles = {shop-admins = "admin"}\nscope_claim = "scp"\nscoped = true\n'
        '[local]\nissuer = "http://127.0.0.1:9/x"\naudience = "shop"\n'
    )
    staff, local = read_issuers(path)
    assert staff == IssuerSettings(
        "staff",
        "https://login.example.com/realms/staff",
        "souk",
        ("ES256", "PS256"),
        ("keys.example.com:8443",),
        "realm_access.roles",
        {"shop-admins": "admin"},
        "scp",
        scoped=True,
    )
    assert local == IssuerSettings("local", "http://127.0.0.1:9/x", "shop")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x", "cannot be read"),
        ("x = 7", "x must be a table"),
        ("[Staff]", "must be of small letters"),
        ('["st|aff"]', "must be of small letters"),
        ("[staff]", "staff has no issuer and no audience"),
        ('[staff]\nissuer = "https://a.test"', "staff has no audience"),
        (f"[staff]\n{GOOD}algorithm = 'ES256'", "the nearest is 'algorithms'"),
        (f"[staff]\n{GOOD}algorithms = ['HS256']", "staff.algorithms must be a list of ES256"),
        (f"[staff]\n{GOOD}algorithms = []", "staff.algorithms must be a list"),
        (f"[staff]\n{GOOD}algorithms = ['none']", "staff.algorithms must be a list"),
        (f"[staff]\n{GOOD}roles = ['admin']", "staff.roles must be a table"),
        (f"[staff]\n{GOOD}scoped = 1", "staff.scoped must be true or false"),
        ('[staff]\nissuer = "http://login.example.com"\naudience = "souk"', "must be an https URL"),
        ('[staff]\nissuer = "https://a:b@login.example.com"\naudience = "souk"', "must be an https URL"),
        ('[staff]\nissuer = "https://login.example.com?x=1"\naudience = "souk"', "must be an https URL"),
        ('[staff]\nissuer = "https://"\naudience = "souk"', "must be an https URL"),
        ('[staff]\nissuer = "file:///etc/passwd"\naudience = "souk"', "must be an https URL"),
        (f"[staff]\n{GOOD}[others]\n{GOOD}", "two tables have the same issuer"),
    ],
)
def test_a_mistake_is_told_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "issuers.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationError) as refused:
        read_issuers(path)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
    assert str(refused.value).startswith("SOUK_ISSUERS: ")


def test_a_file_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"SOUK_ISSUERS: .* cannot be read"):
        read_issuers(tmp_path / "nowhere.toml")
