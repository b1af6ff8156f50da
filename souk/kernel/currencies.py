"""The currencies of ISO 4217 with their minor units, and amounts formatted for people.

Funds codes, precious metals and codes for tests (XTS, XXX) are left out: nobody pays with them.
Source: ISO 4217, list one, with its amendments up to 2026-01-01 (XCG for ANG, BGN withdrawn).
"""

_BY_DECIMALS = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF",
    2: """
        AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY
        COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS
        INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR
        MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD
        SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG
    """,
    3: "BHD IQD JOD KWD LYD OMR TND",
}
DECIMALS = {code: decimals for decimals, codes in _BY_DECIMALS.items() for code in codes.split()}
"""The number of digits after the decimal point, by currency code."""
_USUAL = 2


def decimals_of(currency: str) -> int:
    """Returns the number of digits after the decimal point: 2 for EUR, 0 for JPY, and 2 for an unknown code."""
    return DECIMALS.get(currency, _USUAL)


def format_amount(minor: int, currency: str) -> str:
    """Formats an amount in minor units, such as "1,234.50 EUR" for 123450 and "1,234 JPY" for 1234.

    An unknown code is shown with two decimals: accounts from before codes were checked may hold one.
    """
    decimals = decimals_of(currency)
    units, rest = divmod(abs(minor), 10**decimals)
    sign = "-" if minor < 0 else ""
    fraction = f".{rest:0{decimals}}" if decimals else ""
    return f"{sign}{units:,}{fraction} {currency}"
