"""Money as integers: decimal texts in, smallest units inside, decimal texts out."""

import re

from agent_runtime.errors import Refusal

_DECIMAL = re.compile(r"[0-9]{1,24}(?:\.[0-9]{1,24})?")


def to_units(text: str, decimals: int) -> int:
    """Read a decimal text as a whole number of the token's smallest unit.

    Raises:
        Refusal: it is no plain decimal, or has more digits than the token can hold.
    """
    if not _DECIMAL.fullmatch(text):
        raise Refusal(f"amount {text!r} is not a plain decimal number")
    whole, _, fraction = text.partition(".")
    fraction = fraction.rstrip("0")
    if len(fraction) > decimals:
        raise Refusal(f"amount {text} has more than the token's {decimals} decimals")
    return int(whole + fraction.ljust(decimals, "0"))


def to_text(units: int, decimals: int) -> str:
    """Write smallest units as the shortest exact decimal, such as `0.1`."""
    if decimals == 0:
        return str(units)
    digits = str(units).rjust(decimals + 1, "0")
    fraction = digits[-decimals:].rstrip("0")
    return digits[:-decimals] + (f".{fraction}" if fraction else "")
