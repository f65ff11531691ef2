"""The kinds of value in a runbook's TOML: unit, bounds and JSON Schema of each.

A value outside its bounds is answered with what is expected, so that a finding can say so.
"""

import re
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from cutover.runbook import units
from cutover.runbook.intent import Intent

NOT_ASKED = "not asked"
"""How a runbook says that it asks for no quiet time."""


def _duration(seen: object) -> int:
    try:
        return units.parse_duration(seen)
    except ValueError as error:
        raise PydanticCustomError("duration", "{what}", {"what": str(error)}) from error


def _quiet(seen: object) -> int:
    if seen == NOT_ASKED:
        return 0
    try:
        return units.parse_duration(seen)
    except ValueError as error:
        what = f'{error}; or "{NOT_ASKED}"'
        raise PydanticCustomError("duration", "{what}", {"what": what}) from error


def _share(seen: object) -> int:
    try:
        return units.parse_share(seen)
    except ValueError as error:
        raise PydanticCustomError("share", "{what}", {"what": str(error)}) from error


def _sigmas(seen: object) -> float:
    number = isinstance(seen, int | float | Decimal) and not isinstance(seen, bool)
    sigmas = float(str(seen)) if number else float("nan")
    if not 2 <= sigmas <= 6:  # false for what is no number, too
        what = "a number of standard deviations from 2 to 6"
        raise PydanticCustomError("sigmas", "{what}", {"what": what})
    return sigmas


def _name(seen: object) -> str:
    if not isinstance(seen, str) or not re.fullmatch(_NAME_PATTERN, seen):
        what = "a name: a lowercase letter, then up to 39 lowercase letters, digits, - or _"
        raise PydanticCustomError("name", "{what}", {"what": what})
    return seen


_NAME_PATTERN = r"[a-z][a-z0-9_-]{0,39}"
_NAME_JSON: dict[str, Any] = {"type": "string", "pattern": f"^{_NAME_PATTERN}$"}
_DURATION_JSON: dict[str, Any] = {"type": "string", "pattern": units.DURATION_PATTERN}
_SHARE_JSON: dict[str, Any] = {"type": "number", "minimum": 0, "maximum": 100}
_QUIET_JSON: dict[str, Any] = {"anyOf": [_DURATION_JSON, {"const": NOT_ASKED}]}

Duration = Annotated[int, BeforeValidator(_duration), WithJsonSchema(_DURATION_JSON)]
Quiet = Annotated[int, BeforeValidator(_quiet), WithJsonSchema(_QUIET_JSON)]
Share = Annotated[int, BeforeValidator(_share), WithJsonSchema(_SHARE_JSON)]
Sigmas = Annotated[
    float, BeforeValidator(_sigmas), WithJsonSchema({"type": "number", "minimum": 2, "maximum": 6})
]
Name = Annotated[str, BeforeValidator(_name), WithJsonSchema(_NAME_JSON)]
Clause = Annotated[
    str,
    Field(
        strict=True,
        min_length=1,
        max_length=400,
        description="the words of the runbook it stands for",
    ),
]
Flag = Annotated[bool, Field(strict=True)]
Positive = Annotated[int, Field(strict=True, ge=1, le=1_000_000)]
Natural = Annotated[int, Field(strict=True, ge=0, le=1_000_000)]
Percent = Annotated[int, Field(strict=True, ge=1, le=99)]
Lead = Literal[Intent.ANALYZE, Intent.CREATE, Intent.PAY]
