"""Amounts of money for human eyes."""

# ISO 4217: the currencies whose minor unit is not a hundredth.
_EXPONENTS = {
    **dict.fromkeys("BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF".split(), 0),  # noqa: SIM905
    **dict.fromkeys("BHD IQD JOD KWD LYD OMR TND".split(), 3),  # noqa: SIM905
    **dict.fromkeys("CLF UYW".split(), 4),  # noqa: SIM905
}
_USUAL = 2


def format_money(minor: int, currency: str) -> str:
    """An amount in minor units, such as "1,234.50 EUR" for 123450."""
    exponent = _EXPONENTS.get(currency, _USUAL)
    units, rest = divmod(abs(minor), 10**exponent)
    sign = "-" if minor < 0 else ""
    fraction = f".{rest:0{exponent}}" if exponent else ""
    return f"{sign}{units:,}{fraction} {currency}"
