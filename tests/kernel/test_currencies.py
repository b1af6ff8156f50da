"""The currencies of ISO 4217, and amounts of them for human eyes."""

import pytest
from shop.payment.v1 import payment_pb2
from shop.product.v1 import product_pb2
from soukapi.v1 import policy_pb2

from souk.descriptors import limits
from souk.kernel.currencies import DECIMALS, format_amount


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [
        (0, "EUR", "0.00 EUR"),
        (5, "EUR", "0.05 EUR"),
        (123_450, "EUR", "1,234.50 EUR"),
        (-1, "USD", "-0.01 USD"),
        (1_500, "JPY", "1,500 JPY"),
        (1_500, "KWD", "1.500 KWD"),
        (2**53, "XXX", "90,071,992,547,409.92 XXX"),
    ],
)
def test_an_amount_shows_its_minor_units(minor: int, currency: str, text: str) -> None:
    assert format_amount(minor, currency) == text


def test_the_table_holds_codes_once() -> None:
    assert len(DECIMALS) == 155
    assert all(len(code) == 3 and code.isascii() and code.isupper() for code in DECIMALS)
    assert set(DECIMALS.values()) == {0, 2, 3}


@pytest.mark.parametrize(
    "message",
    [
        payment_pb2.TopUpWalletRequest,
        payment_pb2.ChargeRequest,
        product_pb2.CreateProductRequest,
        product_pb2.UpdateProductRequest,
    ],
)
def test_every_request_takes_the_codes_of_iso_4217_and_no_others(message: type) -> None:
    policy = limits.policy_of(message.DESCRIPTOR.fields_by_name["currency"])  # type: ignore[attr-defined]
    assert policy.format == policy_pb2.FORMAT_CURRENCY
    fits = limits.test_of(policy)
    assert fits is not None
    assert all(fits(code) for code in ("EUR", "USD", "JPY", "KWD", "ISK"))
    assert not any(fits(code) for code in ("QQQ", "XXX", "XTS", "XAU", "eur", "EU", "EURO", "", "EUR\n"))
