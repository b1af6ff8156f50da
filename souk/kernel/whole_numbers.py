"""Reads whole numbers in texts from outside, of any length."""


def whole_number(text: str | bytes, most: int) -> int | None:
    """Returns the number that the ASCII digits of `text` write, from 0 to `most`; None for any other text.

    Leading zeros are allowed. `int` takes other digits than ASCII, white space and signs, and raises for a text of
    more than 4,300 digits.
    """
    digits = text.decode("latin-1") if isinstance(text, bytes) else text
    if not (digits.isascii() and digits.isdigit()):
        return None
    digits = digits.lstrip("0") or "0"
    return int(digits) if len(digits) <= len(str(most)) and int(digits) <= most else None
