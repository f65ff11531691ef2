"""A scenario file: read, and every word in it checked, before anything runs."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from cutover.runbook.lines import key_lines, line_of
from cutover.simulator.conformance import traffic  # noqa: F401 - its words join the vocabulary
from cutover.simulator.conformance.errors import ScenarioError, listed
from cutover.simulator.conformance.expectations import EXPECTATIONS
from cutover.simulator.conformance.steps import STEPS
from cutover.simulator.conformance.word import Word

BYTES_MAX: Final = 100_000
"""A scenario is one statement; what is larger is something else."""

EXPECT: Final = "expect"


class Step(msgspec.Struct, frozen=True):
    """One thing that happens, or one expectation.

    Attributes:
        number: from 1.
        line: in the file.
        word: what it is; `expect` for expectations.
        value: of the word, as it takes it.
        details: by name, as the word takes them.
        expected: for `expect`, each word with what is wanted.
    """

    number: int
    line: int
    word: str
    value: Any = None
    details: Mapping[str, Any] = {}
    expected: tuple[tuple[Word, Any], ...] = ()


class Scenario(msgspec.Struct, frozen=True):
    """One statement about how a run is decided.

    Attributes:
        file: name, for messages.
        says: the statement.
        clause: the words of the runbook that it is about, or a keyword.
        at: the point from which it begins.
        runbook: name of the runbook or variant.
        changes: values of it that are replaced.
        steps: in order.
        text: the file, word for word.
    """

    file: str
    says: str
    clause: str
    at: str
    runbook: str
    changes: Mapping[str, Any]
    steps: tuple[Step, ...]
    text: str


class _Given(msgspec.Struct, forbid_unknown_fields=True):
    at: str
    runbook: str = "brisk"
    set: dict[str, Any] = {}


class _File(msgspec.Struct, forbid_unknown_fields=True):
    says: str
    clause: str
    given: _Given
    when: list[dict[str, Any]]


def read(path: Path) -> Scenario:
    """The scenario of a file.

    Raises:
        ScenarioError: it cannot be read, or has a word that nobody knows.
    """
    try:
        size = path.stat().st_size
        text = path.read_text("utf-8") if size <= BYTES_MAX else ""
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError(f"{path} cannot be read: {error}") from error
    if size > BYTES_MAX:
        raise ScenarioError(f"{path.name} has {size} bytes; a scenario has at most {BYTES_MAX}")
    return parse(text, path.name)


def parse(text: str, file: str) -> Scenario:
    """The scenario that a text is.

    Raises:
        ScenarioError: it is none; the message names file, line and word.
    """
    try:
        data = msgspec.convert(tomllib.loads(text), _File)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ScenarioError(f"{file}: {error}") from error
    lines = key_lines(text)
    steps = tuple(
        _step(file, number, line_of(lines, ("when", number - 1)), table)
        for number, table in enumerate(data.when, 1)
    )
    if not data.says.strip():
        raise ScenarioError(f"{file}: `says` is empty; say in a sentence what holds")
    if not any(step.expected for step in steps):
        raise ScenarioError(f"{file}: it expects nothing; such a scenario cannot fail")
    given = data.given
    return Scenario(file, data.says, data.clause, given.at, given.runbook, given.set, steps, text)


def _step(file: str, number: int, line: int, table: Mapping[str, Any]) -> Step:
    where = f"{file}:{line}: step {number}"
    if not table:
        raise ScenarioError(f"{where} is empty")
    name = next(iter(table))
    if name == EXPECT:
        return Step(number, line, EXPECT, expected=_expected(where, table))
    value, details = STEPS.known(name, where, "step begins with").bind(where, table)
    return Step(number, line, name, value, details)


def _expected(where: str, table: Mapping[str, Any]) -> tuple[tuple[Word, Any], ...]:
    wants = table[EXPECT]
    if set(table) != {EXPECT} or not isinstance(wants, dict) or not wants:
        raise ScenarioError(f"{where}: expect is one table of {listed(EXPECTATIONS)}")
    words = [(EXPECTATIONS.known(name, where, "expectation"), name) for name in wants]
    return tuple((word, word.bind(where, {name: wants[name]})[0]) for word, name in words)
