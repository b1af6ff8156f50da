"""The file that says otherwise than the defaults how calls are protected."""

from pathlib import Path

import pytest

from souk.kernel.errors import ConfigurationError
from souk.resilience.breaker.settings import TEXTBOOK
from souk.runtime.config.resilience import Protection, read_resilience


def read(folder: Path, text: str):
    path = folder / "resilience.toml"
    path.write_text(text)
    return read_resilience(path)


def test_without_a_file_the_defaults_stand():
    assert read_resilience(None).of("payment") == Protection()


def test_a_callee_differs_from_the_default_only_where_it_says_so(tmp_path):
    found = read(
        tmp_path,
        """
[default.breaker]
failure_rate = 0.25
half_open_for = 3
[default.bulkhead]
running = 10
[payment.breaker]
minimum_calls = 7
open_for = 1
[product.balancer]
choice = "round-robin"
warm_up = 0
ejection_failures = 2
""",
    )
    assert found.of("order").breaker.failure_rate == 0.25
    payment = found.of("payment")
    assert (payment.breaker.failure_rate, payment.breaker.minimum_calls, payment.running) == (0.25, 7, 10)
    assert (payment.breaker.open_for.initial, payment.breaker.open_for.cap) == (1.0, 60.0)
    assert payment.breaker.half_open_for == 3.0
    product = found.of("product")
    assert (product.choice, product.balancer.warm_up, product.balancer.ejection.failures) == ("round-robin", 0.0, 2)


def test_the_textbook_is_a_preset(tmp_path):
    assert read(tmp_path, '[payment.breaker]\npreset = "textbook"').of("payment").breaker == TEXTBOOK


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[payment.braker]\n", "payment has no 'braker'; the nearest is 'breaker'"),
        ("[payment.breaker]\nfailurerate = 0.5\n", "the nearest is 'failure_rate'"),
        ("[payment.breaker]\nfailure_rate = 2.0\n", "failure_rate"),
        ("[payment.breaker]\nminimum_calls = 0\n", "payment.breaker.minimum_calls must be a whole number from 1"),
        ("[payment.breaker]\nby_time = 1\n", "must be true or false"),
        ('[payment.balancer]\nchoice = "best"\n', "payment.balancer.choice has no 'best'"),
        ("[payment.bulkhead]\nrunning = true\n", "payment.bulkhead.running"),
        ("payment = 3\n", "payment must be a table"),
        ("[payment\n", "cannot be read"),
        (f"[payment.breaker]\nopen_for = {'9' * 5_000}\n", "cannot be read"),
        (f"[payment.breaker]\nslow_after = {'9' * 400}\n", "payment.breaker.slow_after must be a number"),
    ],
)
def test_what_does_not_fit_is_said_in_one_line(tmp_path, text, said):
    with pytest.raises(ConfigurationError) as raised:
        read(tmp_path, text)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_resilience(tmp_path / "none.toml")
