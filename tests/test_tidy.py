"""The form of the house, held by a machine: sizes, words, excuses, clocks, locks, records."""

import ast
import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = sorted((ROOT / "packages").rglob("*.py"))
PRODUCT = sorted((ROOT / "packages/cutover").rglob("*.py"))
ALL = [
    *PACKAGES,
    *sorted((ROOT / "tests").rglob("*.py")),
    *sorted((ROOT / "benchmarks").rglob("*.py")),
    *sorted((ROOT / "docs").rglob("*.py")),
]
MODULE_LINES_MAX, FUNCTION_LINES_MAX = 400, 70
CLOCKS = {"time", "sched", "random"}
"""What only the one module that reads clocks may import."""


OURS = ("conductor", "cli", "docs", "evidence", "settings")
EXPLAINED = [
    *PACKAGES,
    *sorted((ROOT / "docs").rglob("*.py")),
    *(p for folder in OURS for p in sorted((ROOT / "tests" / folder).rglob("*.py"))),
]


def name(path):
    return str(path.relative_to(ROOT))


def tree(path):
    """What a module says; nobody keeps it, for the collector walks after each test what is kept."""
    return ast.parse(path.read_text("utf-8"))


def comments(path):
    with path.open("rb") as source:
        return [t for t in tokenize.tokenize(source.readline) if t.type == tokenize.COMMENT]


def test_there_is_something_to_look_at():
    """An empty list of files would pass every rule here."""
    assert len(PACKAGES) > 100
    assert len(PRODUCT) > 60


def test_no_module_is_too_long():
    """One idea a module; past 400 lines there are several."""
    lines = {name(p): len(p.read_text("utf-8").splitlines()) for p in PACKAGES}
    assert {p: n for p, n in lines.items() if n > MODULE_LINES_MAX} == {}


def test_no_function_is_too_long():
    """A function fits an eye."""
    found = {
        f"{name(path)}:{node.lineno} {node.name}": node.end_lineno - node.lineno + 1
        for path in PACKAGES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert {f: n for f, n in found.items() if n > FUNCTION_LINES_MAX} == {}


def identifiers(path):
    for node in ast.walk(tree(path)):
        match node:
            case ast.Name(id=word) | ast.Attribute(attr=word) | ast.arg(arg=word):
                yield word, node.lineno
            case ast.ClassDef(name=word) | ast.FunctionDef(name=word):
                yield word, node.lineno
            case ast.AsyncFunctionDef(name=word):
                yield word, node.lineno
            case ast.keyword(arg=str(word)):
                yield word, node.value.lineno
            case ast.alias(name=word, asname=other):
                yield word, node.lineno
                yield other or "", node.lineno


ON_THE_WIRE = {"packages/cutover/src/cutover/gateway/agent.py"}
"""The web client's route has a field of that name (controller contract §9)."""


def test_nothing_of_ours_is_called_a_controller():
    """The runbook's word for the runtime is not ours for conductor or gateway."""
    found = [
        f"{name(path)}:{line} {word}"
        for path in PRODUCT
        if name(path) not in ON_THE_WIRE
        for word, line in identifiers(path)
        if "controller" in word.lower()
    ]
    assert found == []
    assert not [name(path) for path in PRODUCT if "controller" in name(path)]


EXCUSE = re.compile(r"#.*(?:noqa|type: ignore)")
ABOVE = re.compile(r"# [A-Z]+\d+: \S.{5,}")
REASONED = re.compile(
    r"# (?:noqa: [A-Z]+\d+(?:, ?[A-Z]+\d+)*|type: ignore\[[a-z-]+(?:, ?[a-z-]+)*\])"
    r"(?:\s+(?:-|#|\()\s*\S.{5,}|.*#\s*\S.{5,})"
)


def bare_excuses(path):
    if not EXCUSE.search(path.read_text("utf-8")):
        return  # to look is a hundred times quicker than to read the tokens
    lines = {c.start[0]: c.string for c in comments(path)}
    for line, said in lines.items():
        explained = REASONED.search(said) or ABOVE.match(lines.get(line - 1, ""))
        if EXCUSE.search(said) and not explained:
            yield f"{name(path)}:{line}: {said}"


def test_every_exception_to_the_rules_has_its_reason():
    """`noqa` and `type: ignore` name their rule, and say why beside it or on the line above."""
    assert [bare for path in EXPLAINED for bare in bare_excuses(path)] == []


def imported(nodes):
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]


CLOCK = "packages/cutover/src/cutover/clock.py"


def readings(path):
    """What of time and chance a module takes by itself."""
    nodes = list(ast.walk(tree(path)))
    taken = set(imported(nodes)) & CLOCKS
    if "/cutover/simulator/" in name(path):
        taken -= {"random"}  # a seed makes every one of its generators
    yield from sorted(taken)
    for node in nodes:
        match node:
            case ast.Attribute(value=ast.Name(id="datetime"), attr="now" | "utcnow" | "today"):
                yield f"datetime.{node.attr}"
            case ast.Call(args=[]) if ast.unparse(node.func) == "Random":
                yield "a generator without a seed"


def test_only_the_clock_reads_clocks():
    """In the product one module imports `time`; nothing reads a date or rolls dice by itself."""
    found = {name(path): list(readings(path)) for path in PRODUCT}
    assert {p: read for p, read in found.items() if read} == {CLOCK: ["time"]}


@pytest.mark.parametrize("path", sorted((ROOT / "requirements").iterdir()), ids=lambda p: p.name)
def test_locked_requirements_name_no_host(path):
    """Packages are pinned by hash, from wherever the reader gets them."""
    text = path.read_text("utf-8")
    assert "://" not in text
    assert "--index" not in text
    assert "--find-links" not in text
    if path.suffix == ".txt":
        pins = re.findall(r"^([a-z0-9_.-]+(?:\[[a-z,]+\])?)==", text, re.MULTILINE | re.IGNORECASE)
        assert pins
        assert text.count("--hash=sha256:") >= len(pins)


def test_decision_records_are_numbered_without_gaps():
    """0001-..., 0002-...: each page has its number and says it in its first line."""
    records = sorted(p for p in (ROOT / "docs/decisions").iterdir() if p.name != "README.md")
    numbers = [re.fullmatch(r"(\d{4})-[a-z0-9-]+\.md", p.name) for p in records]
    assert all(numbers), [p.name for p in records]
    assert [int(n[1]) for n in numbers] == list(range(1, len(records) + 1))


def test_the_project_s_texts_do_not_speak_of_this_machine():
    """No absolute paths of a workshop, in code or docs."""
    texts = [*ALL, *(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md"), ROOT / "Makefile"]
    path = re.compile(r"(?<![\w./~:\"'`}])/(?:home|root|work|tmp|opt|mnt|srv)/[\w./-]+")
    assert [name(p) for p in texts if path.search(p.read_text("utf-8"))] == []
