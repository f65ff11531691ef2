"""The runbooks that scenarios run by: files of a directory, with values replaced by their names."""

import functools
import json
import operator
import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from cutover.runbook.finding import Loc
from cutover.runbook.lines import key_lines
from cutover.simulator.conformance.errors import ScenarioError, listed

BRISK: Final = MappingProxyType(
    {
        "stage.shadow.soak": {"observed": "5m", "canary_runs": 1, "answers": 0},
        "stage.canary.soak": {"observed": "5m", "canary_runs": 1, "answers": 50},
        "stage.mixed.soak": {"observed": "10m", "canary_runs": 2, "answers": 50},
        "stage.mixed.unlock.pay.clean": "5m",
    }
)
"""`phased` with minutes in the stages before the last: thresholds and cadences are the shipped."""

COARSE: Final = MappingProxyType(
    {
        "timing.readiness_every": "1m",
        "gate.readiness.max_age": "3m",
        "blind.after": "150s",
    }
)
"""`phased` looked at once a minute: for what takes hours."""

VARIANTS: Final[Mapping[str, tuple[str, Mapping[str, object]]]] = MappingProxyType(
    {"brisk": ("phased", BRISK), "coarse": ("phased", COARSE)}
)
"""Names of runbooks that are another one with values replaced."""

_LABELS: Final = ("name", "kind", "check", "intent")


def runbook_text(directory: Path, name: str, changes: Mapping[str, object]) -> str:
    """A runbook's text with values replaced.

    Args:
        directory: where the runbooks are.
        name: of the file, without `.toml`, or of one of the `VARIANTS`.
        changes: values by dotted name; tables of a list are named by name, kind, check or intent.

    Raises:
        ScenarioError: there is no such runbook, or no such value in it.
    """
    text = _variant(directory, name)
    for dotted, value in changes.items():
        text = changed(text, dotted, value)
    return text


@functools.cache
def _variant(directory: Path, name: str) -> str:
    base, shorter = VARIANTS.get(name, (name, {}))
    text = _read(directory, base)
    for dotted, value in shorter.items():
        text = changed(text, dotted, value)
    return text


@functools.cache
def _read(directory: Path, name: str) -> str:
    found = {path.stem: path for path in directory.glob("*.toml")}
    if name not in found:
        known = listed([*found, *VARIANTS]) if found else f"none: {directory} holds no runbooks"
        raise ScenarioError(f"no runbook {name!r}; known are {known}")
    return found[name].read_text("utf-8")


def changed(text: str, dotted: str, value: object) -> str:
    """The text with one value replaced.

    Raises:
        ScenarioError: there is no such value, or replacing it would change another.
    """
    values: Any = tomllib.loads(text)
    loc = _located(values, dotted)
    line = key_lines(text)[loc]
    lines = text.splitlines()
    lines[line - 1] = f"{loc[-1]} = {_toml(value)}"
    changed = "\n".join(lines) + "\n"
    holder: Any = functools.reduce(operator.getitem, loc[:-1], values)
    holder[loc[-1]] = value
    if tomllib.loads(changed) != values:
        raise ScenarioError(f"set: {dotted} does not stand on a line of its own")
    return changed


def _located(values: Any, dotted: str) -> Loc:
    """Where in the document a dotted name is.

    Raises:
        ScenarioError: nowhere.
    """
    loc: Loc = ()
    at = values
    for part in dotted.split("."):
        if isinstance(at, list):
            places = [i for i, one in enumerate(at) if part in map(one.get, _LABELS)]
            step: str | int | None = places[0] if places else None
        else:
            step = part if isinstance(at, dict) and part in at else None
        if step is None:
            raise ScenarioError(f"set: the runbook has no value {dotted}, {part!r} leads nowhere")
        loc, at = (*loc, step), at[step]
    return loc


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{k} = {_toml(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value)  # text, numbers and truth are written alike in TOML and JSON
