"""Dividing a whole into integer parts that sum to it exactly (contract §11.5: no floats).

Largest remainder: everybody gets the floor of their share, and the units left over go to the
largest remainders, earlier rows first. The contract on chain counts 100 % as 10^23 and refuses
any other sum and any row of zero (rails §2.6).
"""

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal

WHOLE = 10**23
ONE_PERCENT = 10**21
ROWS_MAX = 200


def divide(total: int, weights: Sequence[int], minimum: int = 0) -> list[int]:
    """Split `total` in proportion to `weights`, each part at least `minimum`.

    Parts whose proportion is below the minimum get the minimum; the others share what is left in
    proportion. A bigger weight never gets less.

    Args:
        total: units to give out.
        weights: positive integers, one a part.
        minimum: units every part receives before proportion is looked at.

    Raises:
        ValueError: no parts, a weight that is not positive, or too little to go round.
    """
    if not weights or any(weight <= 0 for weight in weights):
        raise ValueError("dividing needs at least one part, and every weight above zero")
    if total < minimum * len(weights):
        raise ValueError(f"{total} units cannot give {len(weights)} parts {minimum} each")
    parts = [minimum] * len(weights)
    rest = list(range(len(weights)))
    while True:
        left = total - minimum * (len(weights) - len(rest))
        shares = _largest_remainder(left, [weights[index] for index in rest])
        small = {index for index, share in zip(rest, shares, strict=True) if share < minimum}
        if not small:
            break
        rest = [index for index in rest if index not in small]
    for index, share in zip(rest, shares, strict=True):
        parts[index] = share
    return parts


def _largest_remainder(total: int, weights: Sequence[int]) -> list[int]:
    whole = sum(weights)
    parts = [total * weight // whole for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda i: (-(total * weights[i] % whole), i))
    for index in by_remainder[: total - sum(parts)]:
        parts[index] += 1
    return parts


def percent_text(units: int, whole: int = WHOLE) -> str:
    """Write a share as a percentage: two decimals, more where two would read as zero."""
    value = Decimal(units) * 100 / Decimal(whole)
    rounded = value.quantize(Decimal("0.01"), ROUND_HALF_UP)
    if rounded == 0 and units:
        rounded = Decimal(f"{value:.2g}")
    text = f"{rounded:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
