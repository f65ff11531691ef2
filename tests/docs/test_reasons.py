"""Every reason that a decision can give stands on the page for the person on call."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/reading-the-output.md").read_text()
OF_A_RULE = "A rollback or abort bears the name of the rule"


def codes():
    """First arguments of `Reason(...)`: constants, and what stands before a name in an f-string."""
    for path in sorted((ROOT / "packages/cutover/src/cutover/decision").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("Reason", "_hold"):
                yield from said(node.args[0])


def said(code):
    if isinstance(code, ast.Constant):
        yield code.value
    elif isinstance(code, ast.JoinedStr) and isinstance(code.values[0], ast.Constant):
        yield code.values[0].value
    elif isinstance(code, ast.IfExp):
        yield from said(code.body)
        yield from said(code.orelse)


def test_every_reason_is_explained():
    """A code that the page lacks would be met for the first time at 3 a.m."""
    written = set(re.findall(r"`([a-z_]+)(?::[A-Z]+)?`", PAGE))
    missing = {code for code in codes() if code.rstrip(":") not in written}
    assert missing == set()
    assert OF_A_RULE in PAGE
