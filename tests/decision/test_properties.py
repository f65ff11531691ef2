"""Whatever is seen and ordered: the core neither raises nor crosses a line, and replays alike."""

from pathlib import Path

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cutover.decision.command import (
    AbortOrder,
    DisarmOrder,
    ForgetOrder,
    HoldOrder,
    PromoteOrder,
    ResumeOrder,
    RetryOrder,
    WaiveOrder,
)
from cutover.decision.run import TERMINAL
from cutover.decision.status import explain, status_of
from cutover.decision.step import table_for
from cutover.evidence.observation import (
    Attestation,
    CanaryRound,
    CanaryVerdict,
    GatewayReport,
    GatewaySilent,
    LiveIntent,
    PostCheckSeen,
    PreconditionSeen,
    Readiness,
    Reference,
    Snapshot,
    Started,
    Stopped,
    Verdict,
)
from cutover.evidence.outcome import Conversations, Count, Outcome
from cutover.runbook.gate import Check, Evidence, PostCheckName
from cutover.runbook.intent import Intent
from cutover.runbook.load import load_text
from cutover.simulator.checkers.watch import Watch
from cutover.simulator.conformance import runbooks
from cutover.simulator.conformance.looks import spki
from cutover.simulator.conformance.runner import start
from cutover.simulator.conformance.world import World

RUNBOOKS = Path(__file__).parents[2] / "runbooks"
KEY = spki("key-1")


def runbook_text(name: str, changes: dict[str, object]) -> str:
    return runbooks.runbook_text(RUNBOOKS, name, changes)


PLANES = st.sampled_from(["hetzner", "phala"])
BOOLS = st.booleans()
MAYBE = st.sampled_from([True, False, None])
SMALL = st.integers(0, 200)
GENERATIONS = st.integers(0, 30)
COUNTS = st.lists(
    st.builds(Count, GENERATIONS, st.sampled_from(Intent), PLANES, st.sampled_from(Outcome), SMALL),
    max_size=4,
).map(tuple)
SEEN = st.lists(
    st.builds(Conversations, GENERATIONS, st.sampled_from(Intent), PLANES, SMALL), max_size=3
).map(tuple)
VERDICTS = st.tuples(
    *[
        st.builds(CanaryVerdict, st.just(p), BOOLS, st.sampled_from([(), ("github",)]), st.just(""))
        for p in ("hetzner", "phala")
    ]
)
REASONS = st.just(("seen",))
FACTS = st.one_of(
    st.builds(
        Readiness, PLANES, st.sampled_from([200, 200, 503, None]), MAYBE, MAYBE, st.just("x")
    ),
    st.builds(Reference, BOOLS, st.just("x")),
    st.builds(CanaryRound, BOOLS, VERDICTS),
    st.builds(
        Attestation, PLANES, st.sampled_from(Verdict), st.sampled_from(Evidence),
        st.sampled_from(["", "compose-1", "compose-2"]), REASONS,
        st.sampled_from([(), ("TEST ROOT",)]), st.sampled_from(["", KEY, KEY, spki("key-2")]),
        st.sampled_from([None, None, -1, 0, 20_000, 700_000]),
    ),
    st.builds(LiveIntent, PLANES, st.sampled_from(Intent), BOOLS, REASONS, st.just({})),
    st.builds(PreconditionSeen, st.sampled_from(Check), MAYBE, REASONS),
    st.builds(PostCheckSeen, st.sampled_from(PostCheckName), BOOLS, REASONS, st.just({})),
    st.builds(
        GatewayReport, st.sampled_from(["g1", "g2"]), st.sampled_from(["b1", "b2", "b3"]),
        st.integers(0, 4), GENERATIONS, GENERATIONS, st.sampled_from(["", "bad"]), SMALL,
        st.integers(0, 5), COUNTS, SEEN, MAYBE, st.integers(0, 2),
    ),
    st.builds(GatewaySilent, st.sampled_from(["g1", "g3"]), st.just("x")),
    st.builds(Started, st.integers(2, 5), st.just("boot"), SMALL),
    st.just(Stopped("asked")),
    st.just(Snapshot(1, "00")),
)  # fmt: skip
WHO = {"actor": st.just("ana"), "reason": st.just("because")}
ORDERS = st.one_of(
    st.builds(HoldOrder, **WHO),
    st.builds(ResumeOrder, **WHO),
    st.builds(RetryOrder, **WHO),
    st.builds(AbortOrder, **WHO),
    st.builds(PromoteOrder, **WHO, expect=st.sampled_from(["shadow", "canary", "primary"])),
    st.builds(
        DisarmOrder,
        **WHO,
        rule=st.sampled_from(["not-ready", "attestation-lost", "payments-failed"]),
        expires_ms=st.integers(1, 3_600_000),
    ),
    st.builds(WaiveOrder, **WHO, check=st.sampled_from(Check)),
    st.builds(ForgetOrder, **WHO, node=st.sampled_from(["g1", "g2"])),
)
PASS = st.sampled_from([0, 1, 250, 5_000, 30_000, 130_000, 700_000])
"""Time in which nothing at all is seen, milliseconds."""
HEALTHY = st.sampled_from([5_000, 60_000, 400_000])
"""Time in which all is well."""
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("fact"), FACTS),
        st.tuples(st.just("fact"), FACTS),
        st.tuples(st.just("order"), ORDERS),
        st.tuples(st.just("pass"), PASS),
        st.tuples(st.just("healthy"), HEALTHY),
    ),
    max_size=25,
)
TEXT = runbook_text(
    "brisk",
    {
        "rollback.payments-failed.low_sample": "repin",
        "rollback.payments-failed.min_settled": 50,
        "rollback.canary-failed.shared_cause": "hold",
        "stage.primary.soak": {"observed": "5m", "canary_runs": 1, "answers": 10},
    },
)
STARTS = st.sampled_from(["preparing", "shadow", "canary", "mixed", "mixed+pay", "primary"])


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(at=STARTS, steps=STEPS)
def test_any_history_keeps_the_lines_and_replays_alike(at: str, steps: list) -> None:
    """Random facts and orders at any point of a run: no exception, no line crossed, same replay."""
    world = start(TEXT, at, 10_000 if at != "preparing" else 0).twin()
    for kind, what in steps:
        if world.run.phase in TERMINAL:
            break
        _take(world, kind, what)
        world.watch.rest(world.runbook, world.run, world.now)
        status_of(world.runbook, world.run, world.now).line()
        explain(world.runbook, world.run, world.now)
        table_for(world.runbook, world.run).checked()
    assert isinstance(world.watch, Watch)
    world.watch.end(world.runbook, world.entries, world.run)


def _take(world: World, kind: str, what: object) -> None:
    if isinstance(what, Started):
        world.restart(what.downtime_ms)
    elif isinstance(what, Snapshot):
        world.snapshot()
    elif kind == "fact":
        world.submit(what)  # type: ignore[arg-type]  # drawn from FACTS
    elif kind == "order":
        world.order(what)  # type: ignore[arg-type]  # drawn from ORDERS
    elif kind == "pass":
        world.skip(what)  # type: ignore[arg-type]  # drawn from PASS
    else:
        world.advance(what)  # type: ignore[arg-type]  # drawn from HEALTHY


def test_state_does_not_grow_with_running_time() -> None:
    """Three hours later, and after many tables, the state is no larger than it was."""
    world = start(runbook_text("coarse", {}), "mixed", 0).twin()
    world.watch = Watch(())  # tables are numbered here without a decision, which no line allows
    small = len(msgspec.json.encode(world.run))
    for _ in range(40):
        world.verdict = Verdict.VERIFIED
        world.advance(300_000)
        generation = world.run.generation + 1
        world.run = msgspec.structs.replace(world.run, generation=generation, split={})
        world.follow()
    assert len(msgspec.json.encode(world.run)) < 12 * small
    assert all(
        int(key.split("|")[0]) > world.run.generation - 17
        for node in world.run.nodes.values()
        for key in node.counts
    )


def test_the_whole_phased_runbook_completes() -> None:
    """2 h, 2 h, 26 h and 7 d of healthy facts, coarsely looked at: four stages, one unlock."""
    text = runbook_text(
        "phased",
        {
            "timing.readiness_every": "110s",
            "gate.readiness.max_age": "5m",
            "blind.after": "240s",
            "timing.attestation_every": "4m",
        },
    )
    world = World(load_text(text, "phased"), Watch())
    assert world.until(lambda run: run.phase == "complete", 10 * 86_400_000), world.run.reasons
    kinds = [type(decision).__name__ for decision in world.decisions()]
    assert kinds == [
        "OpenStage", "OpenStage", "OpenStage", "UnlockIntent", "OpenStage", "BeginChecks",
        "Complete",
    ]  # fmt: skip
    days = world.now / 86_400_000
    assert 8.25 <= days < 8.5, f"the run took {days:.2f} days"
    assert not world.run.weak


def test_shipped_runbooks_are_the_ones_that_are_tested() -> None:
    """Values are replaced by name; a name that is not there is an error, not a silent no-op."""
    shipped = Path(__file__).parents[2] / "runbooks" / "phased.toml"
    assert runbook_text("phased", {}) == shipped.read_text()
