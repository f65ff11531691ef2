"""The page about simulation names what there is: files, numbers, commands, words of a trace."""

import ast
import re
import shlex
from pathlib import Path

import pytest
import typer

from cutover.cli.main import app
from cutover.runbook.load import load_text
from cutover.simulator import chance, play, shrink
from cutover.simulator.faults import check_planes, read
from cutover.simulator.watch import excuses, money, promptness

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "packages/cutover/src/cutover"
PAGE = (ROOT / "docs/reference/simulation.md").read_text("utf-8")
SECTION = {part.splitlines()[0]: part for part in re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]}


def rows(section):
    """Cells of every row of a section's own tables; generated ones have a test of their own."""
    text = re.sub(r"<!-- begin.*?<!-- end", "", SECTION[section], flags=re.DOTALL)
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_every_command_on_the_page_can_be_given():
    """Verb, options and files exist."""
    verb = typer.main.get_command(app).commands["simulate"]
    options = {name for param in verb.params for name in param.opts}
    commands = re.findall(r"^cutover simulate (.*)$", PAGE, re.MULTILINE)
    assert len(commands) >= 5
    for command in commands:
        words = shlex.split(command, comments=True)
        assert {word for word in words if word.startswith("--")} <= options
        files = [word for word in words if word.endswith(".toml")]
        assert files[0] == "runbooks/swift.toml"
        assert all((ROOT / name).is_file() for name in files)


def test_the_first_command_on_the_page_finds_nothing(monkeypatch, capsys):
    """As it stands there, in this source tree."""
    from cli.hands import hand

    command = re.search(r"^cutover (simulate .*)$", PAGE, re.MULTILINE)[1]
    said = hand(monkeypatch, capsys, *shlex.split(command, comments=True), cwd=ROOT)
    assert said.code == 0, said.all


def test_the_example_of_a_file_can_be_played():
    """Its words, and its places."""
    (example,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    schedule, seed = read(example, "example")
    runbook = load_text((ROOT / "runbooks/swift.toml").read_text("utf-8"), "swift.toml")
    check_planes(schedule, runbook.planes, runbook.candidate)
    assert len(schedule) == 3
    assert seed == 8


def test_every_file_on_the_page_exists():
    """Under the package, the tests or the root."""
    named = set(re.findall(r"`((?:simulator|tests|runbooks)/[\w./-]+)`", PAGE))
    assert len(named) > 25
    made = {"tests/simulator/digests.json"}
    missing = {
        name for name in named if not (SOURCE / name).exists() and not (ROOT / name).exists()
    }
    assert missing - made == set()


def crossed(path):
    """Numbers of the lines that a module can find crossed."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in {"never", "Violation"}:
            yield node.args[0].value


def test_every_line_that_the_world_shows_is_in_the_table():
    """Each module with the lines that it can find crossed, and no other."""
    has = {}
    for path in (SOURCE / "simulator/watch").glob("*.py"):
        if lines := set(crossed(path)):
            has[f"`simulator/watch/{path.name}`"] = lines
    says = {}
    for lines, _, where in (row for row in rows("What is checked") if row[0][0].isdigit()):
        says.setdefault(where, set()).update(int(one) for one in lines.split(", "))
    assert says == has


def test_every_word_of_a_trace_is_in_the_table():
    """What hosts and operators say; a verb is a verb."""
    said = set()
    for path in (SOURCE / "simulator").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and _name(node.func) in {"say", "_say"}:
                said |= {_words(node.args[1])} if len(node.args) > 1 else set()
    table = "\n".join(row[0] for row in rows("Reading a trace")[2:])
    assert said - {""} == set(re.findall(r"`([^`]+)`", table))


def _name(function):
    return getattr(function, "attr", getattr(function, "id", ""))


def _words(node):
    match node:
        case ast.Constant(str(text)):
            return text
        case ast.JoinedStr(values):
            return "".join(getattr(one, "value", "") if isinstance(one, ast.Constant) else "VERB"
                           for one in values)  # fmt: skip
    return ""


@pytest.mark.parametrize(
    "phrase",
    [
        f"until {excuses.GRACE_MS // 1000} s after its end",
        f"a bad one has {money.ON_THE_WAY_MS} ms to arrive",
        f"{promptness.WITHIN_MS} ms after a way back is durable",
        f"within {play.LIVELY_SECONDS:.0f} simulated seconds",
        f"at most {shrink.TRIES_MAX} tries",
        f"{chance.FAULTS_MEAN}\nfaults on average and at most {chance.FAULTS_MAX}, ",
        f"{play.LIVENESS} for liveness, {play.DEFECT}",
        f"for a defect, {play.HANG} for a hang",
    ],
)
def test_the_numbers_on_the_page_are_the_program_s(phrase):
    """A threshold that moves takes the page with it."""
    assert phrase in PAGE
