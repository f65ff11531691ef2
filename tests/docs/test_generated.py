"""Generated blocks of the docs are what the code says today, whatever terminal looks."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "docs/generate.py"


def generate(*words, script=SCRIPT, **environment):
    return subprocess.run(
        [sys.executable, str(script), *words], capture_output=True, text=True, check=False,
        env={**os.environ, **environment}, timeout=60,
    )  # fmt: skip


@pytest.fixture(scope="module")
def module():
    spec = importlib.util.spec_from_file_location("docs_generate", SCRIPT)
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


@pytest.mark.parametrize("columns", ["40", "200"])
def test_every_block_is_fresh(columns):
    """`make docs` renews what this finds stale; the width of a terminal changes nothing."""
    wide = {"COLUMNS": columns, "TERMINAL_WIDTH": columns, "CUTOVER_DATA": "/x", "FORCE_COLOR": "1"}
    said = generate("--check", **wide)
    assert said.returncode == 0, said.stdout + said.stderr


def test_every_block_is_used(module):
    """What can be generated stands on a page."""
    pages = "\n".join(p.read_text("utf-8") for p in (ROOT / "docs").rglob("*.md"))
    assert {b["name"] for b in module.BLOCK.finditer(pages)} == set(module.BLOCKS)


def test_a_stale_block_is_found_and_renewed(tmp_path):
    """`--check` names the page and touches nothing; without it the page is right again."""
    docs = tmp_path / "docs"
    docs.mkdir()
    script = Path(shutil.copy(SCRIPT, docs))
    page = docs / "page.md"
    stale = "a\n<!-- begin generated: exit-codes -->\nold\n<!-- end generated: exit-codes -->\nb\n"
    page.write_text(stale)
    said = generate("--check", script=script)
    assert said.returncode == 1
    assert "docs/page.md: stale" in said.stdout
    assert page.read_text() == stale
    assert generate(script=script).returncode == 0
    text = page.read_text()
    assert "| 3 | the order was refused" in text
    assert text.startswith("a\n")
    assert text.endswith("\nb\n")
    assert generate("--check", script=script).returncode == 0


@pytest.mark.parametrize(
    "text",
    [
        "<!-- begin generated: nothing -->\n\n<!-- end generated: nothing -->",
        "<!-- begin generated: intents -->\n",
        "<!-- begin generated: intents -->\n\n<!-- end generated: settings -->",
    ],
)
def test_a_marker_that_nobody_knows_is_an_error(module, text):
    """A typo in a marker must not leave a block stale for ever."""
    with pytest.raises(SystemExit):
        module.renewed(text, "page.md")
