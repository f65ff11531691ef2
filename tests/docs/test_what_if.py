"""The page on what-if shows what the verb prints, and explains every limit that it can name."""

import ast
import re
from pathlib import Path

import pytest

from cutover.cli import output
from cutover.conductor.loop import TICK_SECONDS_MAX
from cutover.decision.whatif import limits
from cutover.decision.whatif.instants import STRIDE_TICKS, TICK_MS
from decision.scenario import runbook_text

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/operating/what-if.md").read_text("utf-8")
HEALTHY = ROOT / "tests/replay/journals/healthy-0.1.0.zip"
LONGER = {"stage.shadow.soak": {"observed": "16s", "canary_runs": 4, "answers": 0}}


@pytest.fixture
def other(tmp_path):
    path = tmp_path / "longer-shadow.toml"
    path.write_text(runbook_text("demo", repr(LONGER)), "utf-8")
    return path


def test_the_example_is_what_is_printed(other, monkeypatch, capsys):
    """The transcript on the page, line by line, but for the first, which names the files."""
    from cli.hands import hand

    monkeypatch.setattr(output.out, "_width", 110)  # it is told once, at the first import
    said = hand(monkeypatch, capsys, "whatif", HEALTHY, "--runbook", other)
    assert said.code == 0
    printed = [line.rstrip() for line in said.out.splitlines()][1:]
    (shown,) = re.findall(r"```text\n\$ cutover whatif .*?\n(.*?)\n```", PAGE, re.DOTALL)
    assert printed == shown.splitlines()


def named(path):
    """First arguments of every `Limit(...)` in a module."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Limit":
            yield node.args[0].value


def test_every_limit_is_explained():
    """A code that can be printed stands in the table, and no other."""
    cli = ROOT / "packages/cutover/src/cutover/cli/whatif.py"
    codes = {*named(Path(limits.__file__)), *named(cli)}
    section = PAGE.split("## What is said about its limits")[1].split("## ")[0]
    assert set(re.findall(r"^\| `([a-z_]+)` \|", section, re.MULTILINE)) == codes


def test_the_pace_on_the_page_is_the_conductor_s():
    """250 ms between looks, and 5 s of silence in one stride."""
    assert f"one every {TICK_SECONDS_MAX * 1000:.0f} ms" in PAGE
    assert f"a silence of more than {TICK_MS * STRIDE_TICKS // 1000} s" in PAGE
