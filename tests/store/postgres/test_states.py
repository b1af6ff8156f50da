"""What every SQLSTATE of PostgreSQL's documentation means, and what each error of the driver does."""

import ssl
from collections.abc import Iterator

import asyncpg
import pytest

from souk.backing.postgres.binaries import find_binaries
from souk.kernel.errors import ConfigurationError, StoreCorrupt, StoreError, StoreUnavailable
from souk.store.error_meaning import Reuse, Server, StatementFate
from souk.store.postgres.errors import DRIVER_ERRORS, is_refusal, may_run_again, refused, translate
from souk.store.postgres.states import CLASSES, CODES, meaning_of_state

LATER, WRONG, DAMAGED = StoreUnavailable, StoreError, StoreCorrupt
NOT_THE_STATEMENT = {"08", "28", "3D", "40", "53", "57", "58", "F0"}
"""Classes that are about the connection or the server, whatever the statement."""
OTHERWISE = {"25006": LATER, "25P03": LATER, "25P04": LATER, "40002": WRONG, "42501": LATER, "55006": LATER}
OTHERWISE |= {"55P03": LATER, "XX001": DAMAGED, "XX002": DAMAGED}


def of_the_driver() -> Iterator[str]:
    """Every SQLSTATE that the driver has an error for."""
    for name in asyncpg.exceptions.__all__:
        if state := getattr(getattr(asyncpg.exceptions, name), "sqlstate", None):
            yield state


def of_the_server() -> Iterator[str]:
    """Every SQLSTATE of Appendix A, out of the file that PostgreSQL makes it from; none where it is not installed."""
    binaries = find_binaries()
    file = None if binaries is None else binaries.parent / "share" / "errcodes.txt"
    for line in file.read_text().splitlines() if file is not None and file.exists() else ():
        if len(line.split()) >= 3 and len(line.split()[0]) == 5 and line[0] not in "# ":
            yield line.split()[0]


STATES = sorted({*of_the_driver(), *of_the_server()} - {"Secti"})


def error_of(state: str) -> asyncpg.PostgresError:
    return asyncpg.PostgresError.new({"C": state, "M": "injected"})


def test_the_list_is_whole() -> None:
    assert len(STATES) > 240
    assert {state[:2] for state in STATES} <= set(CLASSES)
    assert len(CLASSES) >= 44


@pytest.mark.parametrize("state", STATES)
def test_what_it_is_answered_with(state: str) -> None:
    usual = LATER if state[:2] in NOT_THE_STATEMENT else WRONG
    assert type(translate(error_of(state), "x")) is OTHERWISE.get(state, usual)


@pytest.mark.parametrize("state", STATES)
def test_what_is_the_servers_fault_says_what_to_do(state: str) -> None:
    meaning = meaning_of_state(state)
    assert meaning.advice
    if meaning.server is not Server.WELL:
        said = str(translate(error_of(state), "x"))
        assert said.count("\n") == 0
        assert meaning.server.value in said
        assert meaning.advice in said


@pytest.mark.parametrize(
    ("reuse", "states"),
    [
        (Reuse.KEEP, ["22012", "23505", "40001", "40P01", "42601", "42501", "53100", "55P03", "57014"]),
        (Reuse.DISCARD, ["08006", "25P02", "26000", "28P01", "28000", "3D000", "53300", "57P01", "57P03", "57P04"]),
        (Reuse.DISCARD, ["58030", "XX000", "XX001", "U0001"]),
        (Reuse.DISCARD_ALL, ["25006"]),
    ],
)
def test_what_becomes_of_the_connection(reuse: Reuse, states: list[str]) -> None:
    assert {state: meaning_of_state(state).reuse for state in states} == dict.fromkeys(states, reuse)


def test_what_is_run_again_and_what_is_not_known() -> None:
    again = {state for state in STATES if may_run_again(error_of(state))}
    assert again == {"40000", "40001", "40P01"}
    unsure = {state[:2] for state in STATES if not is_refusal(error_of(state))} - {"01", "02"}  # warnings
    assert unsure == {"08", "40", "57", "58", "F0"}  # of class 40: "statement completion unknown"
    assert is_refusal(error_of("57014"))
    assert meaning_of_state("40003").fate is StatementFate.UNSURE


def test_no_row_of_the_table_is_of_no_class() -> None:
    assert [state for state in CODES if state[:2] not in CLASSES] == []


def test_errors_of_the_driver_itself() -> None:
    standby = asyncpg.TargetServerAttributeNotMatched("none of them")
    assert "is read-only" in str(translate(standby, "x"))
    assert type(refused(standby, "x")) is ConfigurationError
    certificate = ssl.SSLCertVerificationError("certificate has expired")
    assert "refuses the connection: ('certificate has expired',) (see user" in str(translate(certificate, "x"))
    secret = asyncpg.ClientConfigurationError("could not parse postgresql://u:secret@h")
    assert type(translate(secret, "x")) is StoreUnavailable
    assert "secret" not in f"{translate(secret, 'x')} {refused(secret, 'x')}"


def test_every_error_of_the_driver_is_caught() -> None:
    kinds = (getattr(asyncpg.exceptions, name) for name in asyncpg.exceptions.__all__)
    errors = [kind for kind in kinds if issubclass(kind, Exception) and not issubclass(kind, Warning)]
    assert len(errors) > 200
    assert [kind for kind in errors if not issubclass(kind, DRIVER_ERRORS)] == []
