"""The page about intents says what the code does."""

import re
from pathlib import Path

from cutover.routing.classify import TEXT_CHARS_MAX, classify, forms
from cutover.routing.grammar import MONEY_VERBS, PARTS, STATE_VERBS
from cutover.routing.grammar_page import tables
from cutover.runbook.intent import Intent

PAGE = (Path(__file__).parents[2] / "docs/reference/intents.md").read_text("utf-8")
BLOCK = re.compile(
    "<!-- begin generated: intents -->\n(.*)\n<!-- end generated: intents -->", re.DOTALL
)


def test_the_tables_are_fresh():
    """The block between the markers is what the grammar prints today; `make docs` renews it."""
    found = BLOCK.search(PAGE)
    assert found is not None
    assert found[1] == tables()


def test_the_tables_are_whole():
    """Every form and every part has its row, and no cell is broken by a bar."""
    rows = tables().splitlines()
    assert sum(row.startswith("| ") for row in rows) == len(forms()) + len(PARTS) + 4
    for form, row in zip(forms(), rows[2:], strict=False):
        cells = re.split(r"(?<!\\)\|", row)[1:-1]
        assert [cell.strip() for cell in cells[:3:2]] == [form.intent, form.name]
        assert cells[4].strip() == f"`{form.example}`"


def test_the_examples_of_unknown_are_unknown():
    """Each text that the page calls unknown is unknown."""
    section = PAGE.split("## Examples of `unknown`")[1]
    texts = re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE)
    assert len(texts) >= 5
    assert {classify(text) for text in texts} == {Intent.UNKNOWN}


def test_the_rules_name_the_limits():
    """The page's numbers, verbs and inline examples are the code's."""
    rules = PAGE.split("## Rules")[1].split("## Forms")[0]
    assert f"{TEXT_CHARS_MAX:,}" in rules
    assert all(f"`{verb}`" in rules for verb in MONEY_VERBS + STATE_VERBS)
    assert classify("analyze coinbase/pay") is Intent.ANALYZE
    assert classify("create coinbase/pay 50/50") is Intent.UNKNOWN
    assert classify("analyze o/approve") is Intent.UNKNOWN
