"""No secret reaches a log: by the name of its field, by its form in a text, whatever holds it."""

import io
import json
import logging
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from souk.telemetry import logs
from souk.telemetry.redaction import LONGEST, LONGEST_TEXT, STRUCK_OUT, cut, harmless, scrubbed

JWT = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJ1LTEiLCJhdWQiOiJhcGkifQ.c2lnbmF0dXJlLW9mLWl0"
TEXTS = {
    f"a key souk_01JD2Q_{'k' * 43} was refused": "k" * 43,
    f"GET /souk_refresh_RTF-01JD2QK9ZW8Y5R7T3M1N0P4X6V_{'k' * 43}/x": "k" * 43,
    f"GET /RTF-01JD2QK9ZW8Y5R7T3M1N0P4X6V.{'k' * 43}/x": "k" * 43,
    f"cannot read {JWT}: expired": JWT,
    "Authorization: Bearer abcdef0123456789": "abcdef0123456789",
    "{'authorization': 'Bearer abcdef0123456789', 'x': 1}": "abcdef0123456789",
    "proxy said Basic dXNlcjpwYXNzd29yZA==": "dXNlcjpwYXNzd29yZA==",
    "Cookie: __Host-a=s3cr3t-value; b=other-value": "s3cr3t-value",
    "('set-cookie', 's3cr3t-value; HttpOnly')": "s3cr3t-value",
    'body {"password": "hunter2-hunter2"}': "hunter2-hunter2",
    "password='hunter2-hunter2' is too short": "hunter2-hunter2",
    "GET /login?refresh_token=hunter2-hunter2&x=1": "hunter2-hunter2",
    "api-key=hunter2-hunter2": "hunter2-hunter2",
    "Settings(smtp_password=b'hunter2-hunter2')": "hunter2-hunter2",
    "cannot connect to postgres://order:hunter2@db:5432/order": "hunter2",
    "redis://:hunter2@127.0.0.1:6379": "hunter2",
    "the card 4242424242424242 was declined": "4242424242424242",
    "the card 4242 4242 4242 4242 was declined": "4242 4242 4242 4242",
    "the card 3782-822463-10005": "3782-822463-10005",
    "cvc: 1234": "1234",
    "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIE\n-----END PRIVATE KEY-----": "MC4CAQAwBQYDK2VwBCIE",
}
HARMLESS = (
    "GET /api/v1/orders/ORD-01JD2QK9ZW8Y5R7T3M1N0P4X6V took 12 ms",
    "trace 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "4bf92f3577b34da6a3ce929d0e0e4736",
    "at 1796031398550123 of 5312345678901",
    "postgres://order@db:5432/order",
    "http://127.0.0.1:8080/docs",
    "souk_call_seconds_count",
    "the token has expired",
)


@pytest.mark.parametrize(("text", "secret"), TEXTS.items())
def test_a_secret_in_any_text_is_struck_out(written: io.StringIO, text: str, secret: str) -> None:
    log = logs.logger("order")
    log.info(text, reason=text, several=[text, (text,)], inside={"a": {"b": text}}, error=ValueError(text))
    logging.getLogger("somebody").warning("it said %s", text, extra={"detail": text})
    try:
        try:
            raise LookupError(text)
        except LookupError as error:
            raise RuntimeError(f"because of {text}") from error
    except RuntimeError:
        log.exception("failed")
        logging.getLogger("somebody").exception("failed")
    assert secret not in written.getvalue()
    assert secret not in json.dumps(json.loads(written.getvalue().splitlines()[0]))
    assert written.getvalue().count(STRUCK_OUT) >= 8


@pytest.mark.parametrize("text", HARMLESS)
def test_what_only_looks_like_one_stays(text: str) -> None:
    assert scrubbed(text) == text


@given(st.text())
def test_any_text_can_be_scrubbed_twice(text: str) -> None:
    assert scrubbed(scrubbed(text)) == scrubbed(text)


@dataclass
class Login:
    user: str
    password: str


def test_a_value_of_any_kind_is_made_harmless(written: io.StringIO) -> None:
    logs.logger("user").info("login", login=Login("tea", "hunter2"), many={"tokens": ["hunter2"]}, raw=b"hunter2")
    assert "hunter2" not in written.getvalue()
    assert json.loads(written.getvalue())["many"] == {"tokens": STRUCK_OUT}


def test_on_a_terminal_as_well(capsys: pytest.CaptureFixture[str], written: io.StringIO) -> None:
    logs.configure(logs.LogSettings(terminal=True), written)
    try:
        raise ValueError("password=hunter2-hunter2")
    except ValueError:
        logs.logger("user").exception("Bearer abcdef0123456789")
    assert "ValueError" in written.getvalue()
    assert "hunter2" not in written.getvalue()
    assert "abcdef" not in written.getvalue()


def test_a_path_of_a_request_is_scrubbed_as_well(written: io.StringIO) -> None:
    record = {"part": "gateway", "path": f"/x/{JWT}", "trace_id": "1"}
    assert logs.write_at_once("request", record, 1_780_000_000_000_000)
    assert JWT not in written.getvalue()


def test_a_line_of_a_megabyte_is_cut_and_says_so(written: io.StringIO) -> None:
    big = "x" * 1_000_000
    logs.logger("order").info(big, reason=big)
    logs.logger("order").info(
        "many",
        fields={str(number): "y" * LONGEST for number in range(99)},
        **{f"f{n}": ["z" * 400] * 99 for n in range(9)},
    )
    first, second = written.getvalue().splitlines()
    assert len(first) < LONGEST_TEXT + 2 * LONGEST
    assert "[cut: 984000 characters]" in json.loads(first)["event"]
    assert len(second) < logs.LONGEST_LINE
    assert json.loads(second)["event"] == "many"
    assert "are left out" in json.loads(second)["cut"]


def test_the_end_of_a_text_that_is_cut_stays() -> None:
    assert cut("a" * 900 + "why", LONGEST).endswith("why")
    assert harmless("event", "short") == "short"
