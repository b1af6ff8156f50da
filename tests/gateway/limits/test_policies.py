"""What policies count by, and the file that changes them."""

from pathlib import Path

import pytest

from souk.descriptors.contract import RateClass
from souk.gateway.limits.defaults import DEFAULTS
from souk.gateway.limits.gcra import Rate
from souk.gateway.limits.policies_file import from_mapping, read_policies
from souk.gateway.limits.policy import Client, CountedBy, LimitPolicy, WhenAway, network_of
from souk.kernel.errors import ConfigurationError

BY = {by: LimitPolicy("one", Rate(1, 1.0), by, frozenset({RateClass.READ})) for by in CountedBy}


def test_callers_are_told_apart_and_the_anonymous_by_address() -> None:
    one, other = Client("U-1", "192.0.2.1"), Client("U-2", "192.0.2.1")
    nobody, elsewhere = Client("", "192.0.2.1"), Client("", "192.0.2.2")
    assert len({BY[CountedBy.CALLER].key(client) for client in (one, other, nobody, elsewhere)}) == 4
    assert len({BY[CountedBy.ADDRESS].key(client) for client in (one, other, nobody)}) == 1


def test_a_name_is_no_way_into_anothers_quota() -> None:
    assert BY[CountedBy.CALLER].key(Client("192.0.2.1")) != BY[CountedBy.CALLER].key(Client("", "192.0.2.1"))


def test_a_client_of_unknown_address_is_counted() -> None:
    assert BY[CountedBy.ADDRESS].key(Client()) == BY[CountedBy.CALLER].key(Client()) != ""


def test_an_account_is_one_however_it_is_written_and_is_not_kept() -> None:
    keys = {BY[CountedBy.ACCOUNT].key(Client(account=name)) for name in ("Ann@Souk.test", " ann@souk.TEST ")}
    assert len(keys) == 1
    assert "ann" not in keys.pop().casefold()


def test_nobody_uses_up_the_limit_of_an_account_elsewhere() -> None:
    by = BY[CountedBy.ACCOUNT_AND_ADDRESS]
    here, there = Client("", "192.0.2.1", account="ann"), Client("", "192.0.2.2", account="ann")
    assert by.key(here) != by.key(there)
    assert by.key(here) != by.key(Client("", "192.0.2.1", account="bob"))
    assert by.key(Client("", "192.0.2.1")) == ""


def test_without_account_or_api_key_these_policies_do_not_hold() -> None:
    assert BY[CountedBy.ACCOUNT].key(Client("U-1", "192.0.2.1")) == ""
    assert BY[CountedBy.API_KEY].key(Client("U-1", "192.0.2.1")) == ""
    assert BY[CountedBy.API_KEY].key(Client(api_key="K-1")) != ""


@pytest.mark.parametrize(
    ("address", "prefix", "network"),
    [
        ("2001:db8::1", 64, "2001:db8::/64"),
        ("2001:db8::ffff:ffff:ffff:ffff", 64, "2001:db8::/64"),
        ("2001:db8:0:1::1", 64, "2001:db8:0:1::/64"),
        ("2001:db8:0:1::1", 48, "2001:db8::/48"),
        ("fe80::1%eth0", 64, "fe80::/64"),
        ("::ffff:192.0.2.7", 64, "192.0.2.7"),
        ("no address:", 64, "no address:"),
    ],
)
def test_an_ipv6_client_is_its_network(address: str, prefix: int, network: str) -> None:
    assert network_of(address, prefix) == network


def test_a_file_changes_adds_and_removes(tmp_path: Path) -> None:
    path = tmp_path / "limits.toml"
    path.write_text(
        """
        [reads]
        count = 50
        [writes]
        off = true
        [imports]
        count = 5
        window = 2.5
        by = "api-key"
        classes = ["write", "sensitive"]
        when_away = "closed"
        """
    )
    found = {policy.name: policy for policy in read_policies(path, "SOUK_LIMIT_POLICIES")}
    assert list(found) == ["reads", "sensitive", "account", "registrations", "imports"]
    assert found["reads"].rate == Rate(50, 60.0)
    assert found["imports"] == LimitPolicy(
        "imports",
        Rate(5, 2.5),
        CountedBy.API_KEY,
        frozenset({RateClass.WRITE, RateClass.SENSITIVE}),
        WhenAway.CLOSED,
    )


def test_without_a_file_the_defaults_hold() -> None:
    assert read_policies(None, "SOUK_LIMIT_POLICIES") == DEFAULTS
    assert from_mapping({}) == DEFAULTS


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[reads]\ncuont = 1", "reads.cuont: a policy has no 'cuont'; the nearest is 'count'"),
        ("[reads]\ncount = 0", "reads.count must be a whole number from 1"),
        ("[reads]\ncount = true", "reads.count must be a whole number from 1"),
        ("[reads]\nwindow = -1", "reads.window must be seconds above 0"),
        ("[reads]\nwindow = nan", "reads.window must be seconds above 0"),
        ("[reads]\nby = 'moon'", "reads.by must be one of caller, address, api-key, account, account-and-address"),
        ("[reads]\nclasses = []", "reads.classes must be a list of read, write, sensitive, registration"),
        ("[reads]\nclasses = ['all']", "reads.classes must be one of read, write"),
        ("[reads]\nwhen_away = 'maybe'", "reads.when_away must be one of open, closed, local"),
        ("[reads]\noff = 'yes'", "reads.off must be true or false"),
        ("[reads]\noff = true\ncount = 1", "reads: a policy that is off has no other values"),
        ("[new]\ncount = 1", "new is a new policy, and lacks window, by, classes"),
        ("['New One']\ncount = 1", "'New One': the name of a policy is of lower-case letters"),
        ("reads = 5", "reads must be a table, as in [reads]"),
        ("[reads]\ncount = 1000000\nwindow = 1", "reads: a rate is at most 10000 requests a second"),
        ("[reads", "limits.toml: "),
    ],
)
def test_a_wrong_file_is_one_clear_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "limits.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationError) as raised:
        read_policies(path, "SOUK_LIMIT_POLICIES")
    assert str(raised.value).startswith("SOUK_LIMIT_POLICIES: ")
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)
