"""The page about deciding says what the code does."""

import re
from pathlib import Path

from cutover.decision.rollback import State
from cutover.decision.transitions import diagram
from cutover.runbook.load import load_text

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "how-it-decides.md").read_text("utf-8")
BLOCK = re.compile(
    "<!-- begin generated: transitions -->\n```mermaid\n(.*)\n```\n"
    "<!-- end generated: transitions -->",
    re.DOTALL,
)


def test_the_diagram_is_fresh():
    """The block between the markers is what the table of transitions prints today."""
    found = BLOCK.search(PAGE)
    assert found is not None
    assert found[1] == diagram()


def test_every_rule_of_the_runbook_has_its_row():
    """The table of findings has exactly the shipped rollback conditions, in their order."""
    shipped = load_text((ROOT / "runbooks" / "phased.toml").read_text("utf-8"), "phased.toml")
    section = PAGE.split("## What each rule finds")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `([a-z-]+)` \|", section, re.MULTILINE)
    assert rows == [condition.name for condition in shipped.conditions]


def test_every_state_of_a_finding_is_named():
    """What `explain` can print is on the page."""
    assert [state for state in State if f"`{state}`" not in PAGE] == []
