"""The map of the runbook's lines is whole, and everything it names exists."""

import ast
import importlib
import re
import tomllib
from pathlib import Path

import pytest

from cutover.runbook.finding import where

ROOT = Path(__file__).parents[2]
RUNBOOK = (ROOT / "runbooks" / "runbook.md").read_text()
MAP = (ROOT / "docs" / "the-runbook.md").read_text()
MARKER = re.compile(r"^\s*(?:[-*]|\d+\.)\s+")


def content_lines(text):
    """Section and line of every line of the runbook that says something."""
    section = ""
    for line in text.splitlines():
        if line.startswith("## "):
            section = line[3:]
        elif line.strip() and section:
            yield section, MARKER.sub("", line).strip()


def rows(text):
    """Section and cells of every row of the page's tables."""
    section = ""
    for line in text.splitlines():
        if line.startswith("## "):
            section = line[3:]
        elif line.startswith("| ") and not line.startswith(("| ---", "| The line |")):
            yield section, [cell.strip() for cell in line.strip("|").split(" | ")]


ROWS = list(rows(MAP))


def named(column):
    """Each reference of a column once, with the line of the runbook it stands for."""
    found = {}
    for _, cells in ROWS:
        for reference in re.findall(r"`([^`]+)`", cells[column]):
            found.setdefault(reference, cells[0])
    return [pytest.param(reference, id=reference) for reference in found]


def test_every_line_of_the_runbook_is_on_the_page_in_its_section_and_order():
    """None is missing, none is invented, none is reworded."""
    wanted = list(content_lines(RUNBOOK))
    assert len(wanted) > 40
    assert [(section, cells[0]) for section, cells in ROWS] == wanted


def test_every_line_names_rule_code_and_test():
    """No empty cell, and nothing in a cell but references."""
    for _, cells in ROWS:
        assert len(cells) == 4, cells
        for cell in cells[1:]:
            assert cell, cells
            for reference in cell.split("<br>"):
                assert re.fullmatch(r"`[^`]+`", reference), cell


def document_paths(value, loc=(), root=None):
    root = value if root is None else root
    children = value.items() if isinstance(value, dict) else enumerate(value)
    for key, child in children:
        yield where(root, (*loc, key))
        if isinstance(child, dict | list):
            yield from document_paths(child, (*loc, key), root)


PATHS = set(document_paths(tomllib.loads((ROOT / "runbooks" / "phased.toml").read_text())))


@pytest.mark.parametrize("path", named(1))
def test_every_rule_is_in_the_phased_runbook(path):
    """The path is one that lint would speak of."""
    assert path in PATHS


@pytest.mark.parametrize("reference", named(2))
def test_every_piece_of_code_can_be_imported(reference):
    """`module:name`, and the name is something that can be called."""
    module, _, name = reference.partition(":")
    at = importlib.import_module(module)
    for part in name.split("."):
        at = getattr(at, part)
    assert callable(at)


def functions_of(path):
    tree = ast.parse(path.read_text())
    defined = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.walk(tree) if isinstance(node, defined)}


@pytest.mark.parametrize("reference", named(3))
def test_every_test_is_there(reference):
    """`file::test`, or a scenario's file."""
    file, _, name = reference.partition("::")
    path = ROOT / file
    assert path.is_file(), file
    assert path.is_relative_to(ROOT / "tests")
    if path.suffix == ".py":
        assert name.startswith("test_")
        assert name in functions_of(path)
    else:
        assert path.is_relative_to(ROOT / "tests" / "scenarios")
        assert not name


def test_every_line_is_held_by_a_test_of_behaviour():
    """Asserting a number is not enough: something outside `tests/runbook` shows what it does."""
    held = {cells[0] for _, cells in ROWS if re.search(r"`tests/(?!runbook/)", cells[3])}
    assert {cells[0] for _, cells in ROWS} == held


def test_every_rule_of_the_phased_runbook_is_on_the_page():
    """Gates, conditions, stages, preconditions, checks: none executes a line that nobody wrote."""
    mentioned = " ".join(cells[1] for _, cells in ROWS)
    tables = {"precondition", "gate", "stage", "rollback", "post_check"}
    rules = {
        p for p in PATHS if p.partition("[")[0] in tables and p.endswith("]") and p.count("[") == 1
    }
    assert len(rules) == 20
    assert {rule for rule in rules if f"`{rule}" not in mentioned} == set()
