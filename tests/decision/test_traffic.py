"""The split that is kept from report to report is the one that counting everything gives."""

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from cutover.decision.command import ForgetOrder
from cutover.decision.fact import Entry
from cutover.decision.fold import apply
from cutover.decision.kinds import CloseMoney
from cutover.decision.run import Phase, Run
from cutover.decision.traffic import whole_split
from cutover.evidence.observation import GatewayReport, GatewaySilent
from cutover.evidence.outcome import Conversations, Count, Outcome
from cutover.runbook.intent import Intent
from cutover.runbook.load import load_text
from cutover.simulator.conformance.runbooks import runbook_text

RUNBOOK = load_text(runbook_text(Path(__file__).parents[2] / "runbooks", "demo", {}), "demo")
NODES = st.sampled_from(["g1", "g2"])
PLANES = st.sampled_from(["hetzner", "phala"])
SMALL = st.integers(0, 9)
CELL = (st.integers(3, 7), st.sampled_from([Intent.PAY, Intent.ANALYZE]), PLANES)
REPORT = st.builds(
    GatewayReport, NODES, st.sampled_from(["b1", "b2", "b3"]), st.just(1), st.integers(4, 6),
    st.just(0), st.just(""), SMALL, SMALL,
    st.lists(st.builds(Count, *CELL, st.sampled_from(Outcome), SMALL), max_size=5).map(tuple),
    st.lists(st.builds(Conversations, *CELL, SMALL), max_size=5).map(tuple),
    st.just(True), SMALL,
)  # fmt: skip
FORGET = st.builds(ForgetOrder, st.just("ann"), st.just("gone"), NODES)
SILENT = st.builds(GatewaySilent, NODES, st.just("x"))
MOVE = st.just(CloseMoney(("hetzner",), (), ()))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(REPORT, REPORT, REPORT, FORGET, SILENT, MOVE), max_size=14))
def test_the_kept_split_equals_the_whole_one(facts: list) -> None:
    """Whatever nodes repeat, lose, restart or are forgotten, and whenever the table changes."""
    run = Run(id="run-1", phase=Phase.RUNNING, stage=1, generation=4)
    for at, fact in enumerate(facts):
        if isinstance(fact, ForgetOrder) and fact.node not in run.nodes:
            continue
        run = apply(RUNBOOK, run, Entry(run.seq + 1, at * 20_000, 0, fact))
        assert run.split == whole_split(run.serving(), run.generation)
