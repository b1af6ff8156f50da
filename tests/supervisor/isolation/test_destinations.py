"""What of a URL is reached outside, and where it is inside a network namespace."""

from ipaddress import ip_address
from pathlib import Path

import pytest

from souk.supervisor.isolation.addresses_inside import InsideAddresses
from souk.supervisor.isolation.destinations import Destination, destination_of


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("http://Bank.example:9900/v1", "bank.example:9900"),
        ("http://bank.example", "bank.example:80"),
        ("https://bank.example", "bank.example:443"),
        ("https://ACCOUNT:TOKEN@api.twilio.com", "api.twilio.com:443"),
        ("smtp://mail.example", "mail.example:25"),
        ("smtp://user:pass%3Aword@mail.example?starttls", "mail.example:587"),
        ("smtp://mail.example:2525?starttls", "mail.example:2525"),
        ("smtps://mail.example", "mail.example:465"),
        ("http://localhost:4318/v1/traces", "localhost:4318"),
        ("http://127.0.0.1:9900", "127.0.0.1:9900"),
        ("https://192.0.2.7", "192.0.2.7:443"),
        ("http://[2001:db8::1]:9900", "[2001:db8::1]:9900"),
        ("http://bank.example.:80", "bank.example.:80"),
    ],
)
def test_a_url_names_a_host_and_a_port(url: str, found: str) -> None:
    assert str(destination_of(url)) == found


@pytest.mark.parametrize(
    "text",
    [
        "",
        "unix:/run/bank.sock",
        "bank.example",
        "bank.example:443",
        "ldap://bank.example",
        "http://bank.example:0",
        "http://bank.example:70000",
        "http://[::1",
        "http:///path",
        "http://0.0.0.0:80",
        "http://[::]:80",
        "http://255.255.255.255:80",
        "http://224.0.0.1:80",
        "http://[fe80::1%25eth0]:80",
        "http://[::ffff:192.0.2.7]:80",
        "http://127.1:80",
        "http://2130706433:80",
        "http://0x7f000001:80",
        "http://bücher.example",
        "http://-bank.example",
        f"http://{'a' * 64}.example",
        "-----BEGIN PRIVATE KEY-----",
        "@/does/not/exist",
    ],
)
def test_what_is_none_is_none(text: str) -> None:
    assert destination_of(text) is None


def test_a_url_is_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "smtp"
    file.write_text("smtps://user:password@mail.example\n")
    assert destination_of(f"@{file}") == Destination("mail.example", 465)


def test_a_literal_address_stays_and_each_name_has_one_of_its_own() -> None:
    destinations = [
        Destination("bank.example", 443),
        Destination("bank.example", 8443),
        Destination("mail.example", 443),
        Destination("192.0.2.7", 443),
        Destination("2001:db8::1", 443),
        Destination("127.83.0.1", 443),
    ]
    bank, bank_too, mail, four, six, own = map(InsideAddresses(destinations).of, destinations)
    assert (four, six, own) == tuple((ip_address(text),) for text in ("192.0.2.7", "2001:db8::1", "127.83.0.1"))
    assert bank == bank_too
    assert len({*bank, *mail, *own}) == 3
    assert all(address.is_loopback for address in (*bank, *mail))


def test_localhost_is_both_loopbacks() -> None:
    addresses = InsideAddresses([Destination("localhost", 80)])
    assert list(map(str, addresses.of(Destination("localhost", 80)))) == ["127.0.0.1", "::1"]


def test_only_names_need_files() -> None:
    assert InsideAddresses([Destination("localhost", 80), Destination("192.0.2.7", 80)]).files == {}
    files = InsideAddresses([Destination("bank.example", 80)]).files
    assert "127.83.0.1 bank.example\n" in files["/etc/hosts"]
    if "/etc/nsswitch.conf" in files:
        lines = files["/etc/nsswitch.conf"].splitlines()
        assert [line for line in lines if line.startswith("hosts:")] == ["hosts: files"]
