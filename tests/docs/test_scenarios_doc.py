"""The page about scenarios shows one that holds, and names every starting point that files use."""

import re
from pathlib import Path

from cutover.simulator.conformance import parse, read, run

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/reference/scenarios.md").read_text("utf-8")
FILES = sorted((ROOT / "tests/scenarios").glob("*.toml"))


def test_the_example_holds():
    """What the page shows as a file is one, and what it says is so."""
    (example,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    result = run(parse(example, "example.toml"), ROOT / "runbooks")
    assert result.holds, str(result)


def test_every_starting_point_and_runbook_is_named():
    """A reader finds each `at` and each `runbook` of the suite on the page."""
    words = {word for path in FILES for word in (read(path).at, read(path).runbook)}
    assert {word for word in words if f"`{word}`" not in PAGE} == set()


def test_the_suite_s_own_page_points_here():
    """There is one source of truth about the grammar."""
    pointer = (ROOT / "tests/scenarios/README.md").read_text("utf-8")
    assert "docs/reference/scenarios.md" in pointer
    assert "| word |" not in pointer
