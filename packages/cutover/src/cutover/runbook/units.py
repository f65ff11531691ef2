"""Durations and shares as an operator writes them, and as the core counts them.

A duration is one whole number and one unit (`90s`, not `1m30s`), so that a reviewer compares
numbers, not spellings. A share is in percent with at most two decimals: basis points lose nothing.
"""

import re
from decimal import Decimal
from typing import Final

UNIT_MS: Final = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
DURATION_PATTERN: Final = r"^[0-9]{1,11}(ms|s|m|h|d)$"
LONGEST_MS: Final = 365 * UNIT_MS["d"]
"""Nobody watches a stage for longer than a year; a larger number is a slip of the keyboard."""

_CENT: Final = Decimal("0.01")
_DURATION: Final = re.compile(DURATION_PATTERN, re.ASCII)


def parse_duration(seen: object) -> int:
    """Milliseconds of a duration such as `250ms`, `5s`, `2m`, `24h` or `7d`.

    Raises:
        ValueError: for anything else, zero, or more than a year; the message is what is expected.
    """
    if not isinstance(seen, str) or not _DURATION.fullmatch(seen):
        raise ValueError(
            'a duration: a whole number and one of ms, s, m, h, d in quotes, such as "90s"'
        )
    digits = seen.rstrip("msdh")
    ms = int(digits) * UNIT_MS[seen[len(digits) :]]
    if not 0 < ms <= LONGEST_MS:
        raise ValueError("a duration above zero and at most 365d")
    return ms


def format_duration(ms: int) -> str:
    """The shortest spelling of `ms` that `parse_duration` reads back; largest whole unit."""
    for unit in ("d", "h", "m", "s"):
        if ms and ms % UNIT_MS[unit] == 0:
            return f"{ms // UNIT_MS[unit]}{unit}"
    return f"{ms}ms"


def parse_share(seen: object) -> int:
    """Basis points of a share in percent, 0 to 100 with at most two decimals.

    Raises:
        ValueError: for anything else; the message is what is expected.
    """
    number = isinstance(seen, int | float | Decimal) and not isinstance(seen, bool)
    percent = Decimal(str(seen)) if number else Decimal("NaN")
    if not percent.is_finite() or not 0 <= percent <= 100 or percent != percent.quantize(_CENT):
        raise ValueError(
            "a share in percent, a number from 0 to 100 with at most two decimals, such as 12.5"
        )
    return int(percent * 100)


def format_share(bp: int) -> str:
    """Basis points as percent, without needless decimals: `12.5 %`."""
    whole, rest = divmod(bp, 100)
    decimals = f"{rest:02d}".rstrip("0")
    return f"{whole}.{decimals} %" if decimals else f"{whole} %"
