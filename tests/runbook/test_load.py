"""The loader never guesses, never crashes, and says the same twice."""

import copy
import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cutover.runbook.document import Runbook
from cutover.runbook.finding import Finding, RunbookError, Severity, where
from cutover.runbook.intent import LEADING, RISK_OF, Intent, Risk
from cutover.runbook.load import json_schema, lint_text, load_text
from cutover.runbook.schema import Document
from cutover.runbook.shape import LONGEST_TEXT
from cutover.runbook.units import format_duration
from runbook.texts import SHIPPED, changed, shipped

PHASED = shipped("phased")
VALUES = tomllib.loads(PHASED)


def test_a_finding_is_one_clickable_line():
    finding = Finding("a.toml", 7, "split.sigmas", "9", "from 2 to 6", Severity.ERROR)
    assert str(finding) == "a.toml:7: error: split.sigmas: saw 9; expected from 2 to 6"


def test_a_place_is_said_by_name_where_there_is_one():
    """Arrays by name, kind, check or intent; else by number from 1."""
    document = {"stage": [{"name": "x", "list": [1, 2]}, {"other": 1}]}
    assert where(document, ("stage", 0, "list", 1)) == "stage[x].list[#2]"
    assert where(document, ("stage", 1, "other")) == "stage[#2].other"
    assert where(document, ("stage", 7)) == "stage[#8]"
    assert where(document, ("gone", "deeper")) == "gone.deeper"
    assert where(document, ()) == ""


def test_all_faults_are_told_at_once_in_the_order_of_the_text():
    """Nobody mends a runbook one error a run."""
    text = changed(PHASED, 'name = "shadow"', 'name = "canary"')
    text = changed(text, 'readiness_deadline = "2s"', 'readiness_deadline = "6s"')
    text = changed(text, 'after = "30s"', 'after = "1s"')
    found = lint_text(text, "x")
    assert [f.where for f in found] == [
        "timing.readiness_deadline", "stage[canary].name", "blind.after",
    ]  # fmt: skip
    assert [f.line for f in found] == sorted(f.line for f in found)


@pytest.mark.parametrize("text", ["", "\n", "# nothing", "\x00", "a" * 10, "[runbook]"])
def test_an_almost_empty_text_is_refused(text):
    with pytest.raises(RunbookError):
        load_text(text, "x")


def test_a_text_too_long_is_refused_unread():
    """The limit stands before the parser."""
    [found] = lint_text("#" * (LONGEST_TEXT + 1), "x")
    assert found.seen.startswith(f"text that cannot be read ({LONGEST_TEXT + 1} characters")


@pytest.mark.parametrize(
    "text",
    ["a = " + "[" * 20_000, "a = " + "1" * 5_000, "a = 1e999999999999999999999", "a = 2021-02-31"],
)
def test_what_breaks_the_toml_reader_is_a_finding(text):
    """Nesting, digits, exponents and dates beyond its means come back as an error with a line."""
    found = lint_text(text, "x")
    assert found
    assert {(f.severity, f.line) for f in found} == {(Severity.ERROR, 1)}


def keys_of(value, at=()):
    children = value.items() if isinstance(value, dict) else enumerate(value)
    for key, child in children:
        yield (*at, key)
        if isinstance(child, dict | list):
            yield from keys_of(child, (*at, key))


def without(loc):
    document = copy.deepcopy(VALUES)
    parent = document
    for part in loc[:-1]:
        parent = parent[part]
    del parent[loc[-1]]
    return document


KEYS = [loc for loc in keys_of(VALUES) if isinstance(loc[-1], str) and loc[-1] != "unlock"]


@pytest.mark.parametrize("loc", KEYS, ids=lambda loc: ".".join(map(str, loc)))
def test_no_value_has_a_hidden_default(loc):
    """Delete any one value, and the runbook is refused by the name of that value."""
    text = toml(without(loc))
    with pytest.raises(RunbookError) as caught:
        load_text(text, "x")
    assert any(str(loc[-1]) in str(finding) for finding in caught.value.findings)


def toml(document):
    """A plain spelling of a document: one line a top-level value, all inline."""
    return "".join(f"{key} = {inline(value)}\n" for key, value in document.items())


def inline(value):
    match value:
        case dict():
            return "{ " + ", ".join(f"{k} = {inline(v)}" for k, v in value.items()) + " }"
        case list():
            return "[" + ", ".join(inline(v) for v in value) + "]"
        case bool():
            return str(value).lower()
        case str():
            return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
        case _:
            return str(value)


def content(runbook: Runbook):
    """A runbook without the spelling it came from."""
    return {name: getattr(runbook, name) for name in runbook.__dataclass_fields__ if name != "text"}


@pytest.mark.parametrize("name", SHIPPED)
def test_another_spelling_is_the_same_runbook(name):
    """Comments, order of lines and inline tables mean nothing."""
    respelt = toml(tomllib.loads(shipped(name)))
    assert content(load_text(respelt, "x")) == content(load_text(shipped(name), name))


@settings(max_examples=60, deadline=None)
@given(st.integers(1_001, 10**9), st.integers(1, 9_999), st.integers(1, 10_000))
def test_what_is_written_is_what_is_loaded(window, bp, settled):
    """Durations, shares and counts arrive exactly."""
    text = changed(PHASED, 'window = "30m"', f'window = "{format_duration(window)}"')
    text = changed(text, "min_settled = 1 ", f"min_settled = {settled} ")
    text = changed(
        text, "share = { analyze = 10,", f"share = {{ analyze = {min(bp, 5000) / 100:.2f},"
    )
    loaded = load_text(text, "x")
    payments = loaded.conditions[2]
    assert (payments.window_ms, payments.min_settled) == (window, settled)
    assert loaded.stages[1].share_bp[Intent.ANALYZE] == min(bp, 5000)
    assert load_text(text, "x") == loaded


LEAVES = st.one_of(
    st.integers(-(10**12), 10**12),
    st.booleans(),
    st.sampled_from([float("inf"), float("nan"), -0.0]),
    st.text("abc 0159smhd%-_[]", max_size=8),
    st.sampled_from(["pay", "5s", "verified", "shadow"]),
)


def nested(inner):
    return st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=2)


JUNK = st.recursive(LEAVES, nested, max_leaves=4)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_text_makes_the_loader_crash(data):
    """Junk in any place is a finding on a line of the text, or harmless."""
    document = copy.deepcopy(VALUES)
    for loc in data.draw(st.lists(st.sampled_from(KEYS), min_size=1, max_size=3, unique=True)):
        replace(document, loc, data.draw(JUNK))
    text = toml(document)
    found = lint_text(text, "x")
    errors = [f for f in found if f.severity is Severity.ERROR]
    assert all(1 <= f.line <= text.count("\n") + 1 for f in found)
    if errors:
        with pytest.raises(RunbookError):
            load_text(text, "x")
    else:
        promises(load_text(text, "x"))


def replace(document, loc, value):
    parent = document
    for part in loc[:-1]:
        if not isinstance(parent, dict | list) or (isinstance(parent, dict) and part not in parent):
            return
        if isinstance(parent, list) and part >= len(parent):
            return
        parent = parent[part]
    if isinstance(parent, dict):
        parent[loc[-1]] = value


def promises(runbook):
    """What the core may rely on in whatever was loaded."""
    first, last = runbook.stages[0], runbook.stages[-1]
    assert not first.exposed
    assert all(last.share_bp[intent] == 10_000 for intent in LEADING)
    assert all(stage.armed for stage in runbook.stages if stage.exposed)
    assert set(runbook.follows) == set(Intent) - set(LEADING)
    risks = list(Risk)
    for minor, lead in runbook.follows.items():
        assert risks.index(RISK_OF[minor]) <= risks.index(RISK_OF[lead])
    runbook.attestation_gate()
    assert set(runbook.live_intent_gate().intents) == set(LEADING)
    assert runbook.critical
    assert len({c.name for c in runbook.conditions}) == len(runbook.conditions) >= 4


def test_a_loaded_runbook_cannot_be_changed():
    """Shares and routes are read-only, too."""
    loaded = load_text(PHASED, "x")
    with pytest.raises(TypeError):
        loaded.stages[1].share_bp[Intent.PAY] = 10_000
    with pytest.raises(TypeError):
        loaded.follows[Intent.PLAN] = Intent.ANALYZE


def described(node, schema, path="document"):
    for name, child in node.get("properties", {}).items():
        target = schema["$defs"].get(child.get("$ref", "").rpartition("/")[2], {})
        assert child.get("description") or target.get("description"), f"{path}.{name}"


def test_every_key_of_the_schema_is_described_and_the_schema_is_closed():
    """An editor can explain each key and flag the unknown one; nothing is optional but `unlock`."""
    schema = json_schema()
    assert schema["$schema"].endswith("2020-12/schema")
    for name, node in [("document", schema), *schema["$defs"].items()]:
        if "properties" not in node:
            continue
        described(node, schema, name)
        assert node["additionalProperties"] is False
        assert set(node["properties"]) - set(node["required"]) <= {"unlock"}


def test_the_schema_is_of_the_document_the_loader_reads():
    """Same top-level tables."""
    assert set(json_schema()["properties"]) == set(Document.model_fields) == set(VALUES)
