"""Following a run in short gives what folding and judging every entry gives."""

import functools
import hashlib

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cutover.decision import brief
from cutover.decision.ahead import next_decision
from cutover.decision.course import Course
from cutover.decision.fact import Entry
from cutover.decision.fold import apply
from cutover.decision.run import TERMINAL, Run
from cutover.decision.wanted import Wanted, wanted
from cutover.evidence.observation import GatewayReport, Readiness
from cutover.evidence.outcome import Conversations, Count, Outcome
from cutover.runbook.document import Runbook
from cutover.runbook.intent import Intent
from decision.scenario import SCENARIOS, _begun, _copied, run_scenario, runbook_text
from decision.test_properties import FACTS, STARTS, STEPS, TEXT, _take
from decision.world import World

LATER = (0, 1, 5_000, 12_001, 30_001, 90_001, 600_001, 700_000)
"""How long after an entry time alone is asked, milliseconds; around what goes stale."""

COMPARED: dict[int, Entry] = {}
"""Entries that were compared; scenarios that begin alike share their first ones."""


def calm(course: Course) -> bool:
    return course._calm is not None


def alongside(runbook: Runbook, run: Run, entries: list[Entry]) -> int:
    """Follow entries both ways, comparing before and after each; after how many it was calm."""
    course, rested = Course(runbook, run), 0
    for entry in entries:
        alone = next_decision(runbook, run, entry.at_ms)
        assert course.due(entry.at_ms) == alone, f"time alone, before {entry}"
        run = apply(runbook, run, entry)
        due = course.take(entry)
        assert course.run == run, f"another state after {entry}"
        assert due == next_decision(runbook, run, entry.at_ms), f"another decision after {entry}"
        rested += calm(course)
        nothing_until(course)
    return rested


def nothing_until(course: Course) -> None:
    """What a course says of the time that it rests is what the whole judgement says."""
    until = course.rests_until()
    assert until >= course.run.at
    if until > course.run.at:
        assert next_decision(course.runbook, course.run, until) is None, f"until {until} ms"
        assert wanted(course.runbook, course.run, until) == Wanted(), f"until {until} ms"


@pytest.mark.parametrize("path", sorted(SCENARIOS.glob("*.toml"))[::8], ids=lambda path: path.stem)
def test_scenarios_are_followed_alike(path):
    """Every entry of a scenario: the same state and the same decision."""
    world = run_scenario(path)
    shared = sum(1 for entry in world.entries if COMPARED.get(id(entry)) is entry)
    run = Run(id="run-1")
    for entry in world.entries[:shared]:
        run = apply(world.runbook, run, entry)
    COMPARED.update({id(entry): entry for entry in world.entries})
    alongside(world.runbook, run, world.entries[shared:])


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(at=STARTS, steps=STEPS, later=st.lists(st.sampled_from(LATER), min_size=1))
def test_any_history_is_followed_alike(at, steps, later):
    """Random facts, orders and silences: state, decisions, and what time alone brings."""
    begun = _begun(TEXT, at, 10_000)
    world = _copied(begun)
    for kind, what in steps:
        if world.run.phase in TERMINAL:
            break
        _take(world, kind, what)
    run = begun.run
    course = Course(world.runbook, run)
    for number, entry in enumerate(world.entries[len(begun.entries) :]):
        run = apply(world.runbook, run, entry)
        assert course.take(entry) == next_decision(world.runbook, run, entry.at_ms)
        nothing_until(course)
        now = entry.at_ms + later[number % len(later)]
        assert course.due(now) == next_decision(world.runbook, run, now), f"at {now} ms"
        nothing_until(course)
        assert course.run == run


@functools.cache
def healthy(at: str) -> World:
    """A world that has been well in a stage for a while; not to be changed. Shadow takes 2 h."""
    text = runbook_text("phased") if at == "shadow" else TEXT
    world = _copied(_begun(text, at, 10_000))
    world.advance(90_000)
    return world


def resting(at: str) -> tuple[World, Course]:
    """A healthy world in a stage, and a calm course of it."""
    world = healthy(at)
    course = Course(world.runbook, world.run)
    assert course.due(world.now) is None
    assert calm(course), world.run.reasons
    return world, course


@pytest.mark.parametrize("at", ["shadow", "canary", "mixed", "mixed+pay", "primary"])
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(facts=st.lists(FACTS, min_size=1, max_size=3), ms=st.sampled_from(LATER))
def test_any_fact_in_a_calm_run_is_folded_and_judged_alike(at, facts, ms):
    """Whatever ends the calm is noticed with the entry that ends it."""
    world, course = resting(at)
    run, now = world.run, world.now + ms
    for fact in facts:
        entry = Entry(run.seq + 1, now, now, fact)
        run = apply(world.runbook, run, entry)
        assert course.take(entry) == next_decision(world.runbook, run, now)
        assert course.run == run


PLANES = st.sampled_from(["hetzner", "phala"])
OTHERWISE = st.sampled_from([
    {}, {}, {"in_flight": 2, "money_in_flight": 1}, {"lost": 1}, {"keys_match": False},
    {"keys_match": None}, {"term": 9}, {"generation": 1}, {"refused_generation": 99},
    {"refused": "bad"}, {"boot": "b9"}, {"node": "g9"},
])  # fmt: skip
"""What a report may say besides its counters."""


def reports(world: World) -> st.SearchStrategy[GatewayReport]:
    """Anything that the node which reported before may say next."""
    run, said = world.run, world.nodes["g1"].report()
    generations, n = st.integers(run.generation - 17, run.generation + 1), st.integers(-1, 400)
    intents = st.sampled_from(Intent)
    counts = st.builds(Count, generations, intents, PLANES, st.sampled_from(Outcome), n)
    seen = st.builds(Conversations, st.just(run.generation), intents, PLANES, n)
    return st.builds(
        lambda counts, seen, other: msgspec.structs.replace(
            said, counts=tuple(counts), conversations=tuple(seen), **other
        ),
        st.lists(counts, max_size=4), st.lists(seen, max_size=4), OTHERWISE,
    )  # fmt: skip


@pytest.mark.parametrize("at", ["canary", "mixed+pay", "primary"])
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_report_of_a_known_node_is_folded_alike(at, data):
    """Every outcome, intent, plane and age of table, and whatever else a report can say."""
    world, course = resting(at)
    run = world.run
    for fact in data.draw(st.lists(reports(world), min_size=1, max_size=3)):
        entry = Entry(run.seq + 1, run.at, 0, fact)
        run = apply(world.runbook, run, entry)
        assert course.take(entry) == next_decision(world.runbook, run, run.at)
        assert course.run == run


@pytest.mark.parametrize(
    "other",
    [{"lost": 1}, {"keys_match": False}, {"term": 9}, {"generation": 1}, {"refused": "bad"},
     {"refused_generation": 9}, {"boot": "b9"}, {"node": "g9"}],
    ids=str,
)  # fmt: skip
def test_a_report_of_anything_else_takes_the_whole_way(other):
    """Another process, another table, other keys or lost outcomes are never folded in short."""
    world, course = resting("primary")
    fact = msgspec.structs.replace(world.nodes["g1"].report(), **other)
    entry = Entry(course.run.seq + 1, world.now, 0, fact)
    assert course._calm is not None
    assert brief.report(course._calm, course.run, entry, fact) is None


def test_conversations_that_leave_their_share_end_the_calm():
    """Requests may be as the table says: a partial share is judged by its conversations."""
    world, course = resting("mixed")
    g = course.run.generation
    fact = msgspec.structs.replace(
        world.nodes["g1"].report(),
        counts=(),
        conversations=(Conversations(g, Intent.ANALYZE, "phala", 9_000),),
    )
    due = course.take(Entry(course.run.seq + 1, world.now, 0, fact))
    assert [reason.code for reason in due.reasons] == ["split", "soaking"]


def silence(world: World, what: str) -> None:
    """From now on one thing is not seen any more, all else is well."""
    if what == "canary":
        world.canary_paused = True
    elif what == "attestation":
        world.verdict = None
    elif what == "report":
        world.nodes["g1"].silent = True
    else:
        world.planes[what].silent = True


@pytest.mark.parametrize("what", ["canary", "attestation", "report", "hetzner", "phala"])
@pytest.mark.parametrize("at", ["shadow", "mixed+pay", "primary"])
def test_one_silence_among_good_looks_is_noticed(at, what):
    """What goes stale ends the calm, however good everything else looks."""
    world = _copied(healthy(at))
    before = world.run
    silence(world, what)
    world.until(lambda _: False, 780_000)
    assert alongside(world.runbook, before, world.entries[before.seq :]) > 0


def test_failed_payments_are_judged_as_the_window_moves():
    """Few failures among many payments roll back once the many have left the window."""
    world = _copied(_begun(runbook_text("brisk"), "primary", 10_000))
    node, before = world.nodes["g1"], world.run
    world.conversations[Intent.PAY] = 0
    for outcome, n in ((Outcome.OK, 400), (Outcome.UNKNOWN, 4)):
        node.add((before.generation, Intent.PAY, "phala", outcome), n)
        world.advance(600_000)
        assert world.run.phase == "running"
    world.until(lambda run: run.phase != "running", 1_800_000)
    assert world.run.incident.rule == "payments-failed"
    assert alongside(world.runbook, before, world.entries[before.seq :]) > 0


def test_an_overdrawn_budget_is_judged_until_it_is_not():
    """Each answer makes a budget less overdrawn, so one of them ends that reason."""
    world = _copied(_begun(runbook_text("brisk"), "primary", 10_000))
    before, node = world.run, world.nodes["g1"]
    node.add((before.generation, Intent.ANALYZE, "phala", Outcome.CLIENT_ERROR), 1)
    node.add((before.generation, Intent.ANALYZE, "phala", Outcome.NOT_SENT), 12)
    seen = set()
    for _ in range(12):
        world.advance(60_000)
        seen.add(tuple(reason.code for reason in world.run.reasons))
    assert seen >= {("soaking", "error_budget"), ("soaking",)}
    assert alongside(world.runbook, before, world.entries[before.seq :]) > 0


def test_clients_of_a_service_that_should_be_quiet_are_noticed():
    """Where a flip waits for silence, one request is more than a number."""
    text = runbook_text("fast-track", {"runbook.quiet": "10m", "stage.shadow.soak": {
        "observed": "1h", "canary_runs": 6, "answers": 0}})  # fmt: skip
    world = _copied(_begun(text, "shadow", 0))
    before, busy = world.run, dict(world.conversations)
    for clients, codes in ((dict.fromkeys(busy, 0), ["soaking"]), (busy, ["not_quiet", "soaking"])):
        world.conversations = clients
        world.advance(660_000)
        assert sorted({reason.code for reason in world.run.reasons}) == codes
    alongside(world.runbook, before, world.entries[before.seq :])


@pytest.mark.parametrize("at", ["shadow", "mixed", "mixed+pay", "primary"])
def test_most_of_a_healthy_run_is_calm(at):
    """Minutes of health are followed in short, or nothing would be gained."""
    begun = _begun(TEXT, at, 10_000)
    world = _copied(begun)
    world.advance(240_000)
    entries = world.entries[len(begun.entries) :]
    assert alongside(world.runbook, begun.run, entries) > 0.8 * len(entries)


def test_a_calm_run_is_not_judged(monkeypatch):
    """A good look at a calm run is folded without the whole fold and without judging."""
    world, course = resting("primary")
    monkeypatch.setattr("cutover.decision.course.apply", None)
    monkeypatch.setattr("cutover.decision.course.next_decision", None)
    at = world.now + 1_000
    good = Readiness("phala", 200, True, True, "ready")
    assert course.take(Entry(course.run.seq + 1, at, at, good)) is None
    assert course.run.plane("phala").ready_at == at
    with pytest.raises(TypeError):
        course.take(Entry(course.run.seq + 1, at, at, msgspec.structs.replace(good, status=503)))


@pytest.mark.parametrize("at", ["shadow", "mixed", "primary"])
def test_a_course_rests_until_something_it_saw_is_too_old(at):
    """Not one millisecond longer: the next one is judged, and something is blind then."""
    world, course = resting(at)
    until = course.rests_until()
    assert until > world.now
    assert course.due(until) is None
    assert calm(course)
    assert course.due(until + 1) == next_decision(world.runbook, world.run, until + 1) is not None
    assert course.rests_until() == course.run.at


def test_a_course_that_is_not_calm_promises_nothing():
    """One that has judged nothing yet has no more than its newest stamp."""
    world = healthy("primary")
    assert Course(world.runbook, world.run).rests_until() == world.run.at


def test_a_refused_short_fold_leaves_the_run_as_it_was():
    """A report that fails half-way through has not touched what is known."""
    world, course = resting("primary")
    before = hashlib.sha256(msgspec.json.encode(course.run)).hexdigest()
    g = course.run.generation
    counts = (
        Count(g, Intent.PAY, "phala", Outcome.OK, 900),
        Count(g, Intent.PAY, "phala", Outcome.UNKNOWN, 1),
    )
    fact = msgspec.structs.replace(world.nodes["g1"].report(), counts=counts)
    assert isinstance(fact, GatewayReport)
    entry = Entry(course.run.seq + 1, world.now, 0, fact)
    assert course._calm is not None
    assert brief.report(course._calm, course.run, entry, fact) is None
    assert hashlib.sha256(msgspec.json.encode(course.run)).hexdigest() == before


def test_what_a_course_knows_is_not_part_of_the_state():
    """A state that was stored and read again goes on as the one that was not."""
    world = _copied(healthy("mixed+pay"))
    again = msgspec.json.decode(msgspec.json.encode(world.run), type=Run)
    assert again == world.run
    world.advance(60_000)
    assert alongside(world.runbook, again, world.entries[again.seq :]) > 0
