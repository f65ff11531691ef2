"""Each checker catches what its line forbids: the core is broken on purpose, the line is named."""

import pickle
from pathlib import Path

import pytest
from msgspec.structs import replace

from cutover.decision import attested, fold, matrix, orders, promotion, signals, soak, split, step
from cutover.decision import blockers as blocking
from cutover.decision.command import AbortOrder, DisarmOrder, HoldOrder
from cutover.decision.fact import Entry
from cutover.decision.run import NEVER, Payments
from cutover.evidence.observation import Readiness, Started, Verdict
from cutover.evidence.outcome import Outcome
from cutover.runbook.intent import Intent
from cutover.simulator.checkers import CHECKERS, Violation
from cutover.simulator.checkers.watch import Watch
from cutover.simulator.conformance.runbooks import runbook_text
from cutover.simulator.conformance.runner import start

RUNBOOKS = Path(__file__).parents[2] / "runbooks"
SOON = {
    "stage.canary.soak": {"observed": "5m", "canary_runs": 0, "answers": 10},
    "stage.primary.soak": {"observed": "10m", "canary_runs": 2, "answers": 50},
}
MINUTE = 60_000


def world(at="primary"):
    return start(runbook_text(RUNBOOKS, "brisk", SOON), at, 10_000).twin()


def crossed(line, act):
    with pytest.raises(Violation) as caught:
        act()
    assert caught.value.line == line, str(caught.value)
    return caught.value.text


def test_every_line_that_a_journal_can_show_has_a_checker():
    """And each says what it looks at in words of its own."""
    assert [checker.line for checker in CHECKERS] == [1, 2, 3, 4, 5, 6, 8, 9, 11, 12]
    assert len({checker.words for checker in CHECKERS}) == len(CHECKERS)
    assert all(checker.name.startswith(f"{checker.line:02d}_") for checker in CHECKERS)


def test_a_healthy_run_crosses_no_line():
    """From the first entry to the last, with every checker looking on."""
    healthy = world()
    assert healthy.until(lambda run: run.phase == "complete", 60 * MINUTE)
    healthy.watch.end(healthy.runbook, healthy.entries, healthy.run)


@pytest.mark.parametrize("verdict", [Verdict.DEGRADED, Verdict.UNVERIFIABLE])
def test_money_on_an_unproved_candidate_is_line_1(monkeypatch, verdict):
    """Degraded at once, unverifiable when the last proof is too old."""
    broken = world()
    monkeypatch.setattr(matrix, "trusted", lambda *_: True)
    monkeypatch.setattr(step, "_watch", lambda *_: None)
    broken.verdict = verdict
    assert "may go to phala" in crossed(1, lambda: broken.advance(12 * MINUTE))


def test_more_payments_than_the_stage_allows_is_line_1(monkeypatch):
    """Whatever computes the table, `pay` stays where the stage leaves it."""
    broken = world("shadow")
    monkeypatch.setattr(
        step, "table_share_bp", lambda _book, run, _intent: 5_000 if run.stage > 0 else 0
    )
    assert "pay has 5000 bp" in crossed(1, lambda: broken.advance(30 * MINUTE))


def test_a_promotion_on_no_evidence_is_line_2(monkeypatch):
    """A core that judges no gates promotes without a live intent."""
    broken = world("shadow")
    monkeypatch.setattr(step, "gates_of", lambda *_, **__: ())
    assert "without live analyze" in crossed(2, lambda: broken.advance(30 * MINUTE))


def test_evidence_of_another_identity_is_line_2(monkeypatch):
    """A core that does not notice who answers now promotes on what the other one did."""
    broken = world("canary")
    broken.advance(MINUTE)
    broken.canary_paused = True
    monkeypatch.setattr(attested, "_stranger", lambda view: view)
    broken.proof = replace(broken.proof, identity="compose-2")
    assert "without a canary" in crossed(2, lambda: broken.advance(9 * MINUTE))


def test_a_key_that_nobody_is_told_is_line_1(monkeypatch):
    """A core that leaves the gateways with the key of before sends to whoever has that one."""
    broken = world("canary")
    broken.proof = replace(broken.proof, key="key-2")
    monkeypatch.setattr(step, "_key", lambda *_: None)
    assert "the table names key" in crossed(1, lambda: broken.advance(2 * MINUTE))


def test_a_verdict_that_has_run_out_is_line_2(monkeypatch):
    """A core that knows only the runbook's age promotes on a verdict that says nothing any more."""
    broken = world("canary")
    broken.order(DisarmOrder("ana", "why", "attestation-lost", 60 * MINUTE))
    monkeypatch.setattr(attested, "_ends", lambda *_: None)
    monkeypatch.setattr(blocking, "_rules", lambda _: [])
    broken.proof = replace(broken.proof, lasts_ms=0)
    assert "has run out" in crossed(2, lambda: broken.advance(30 * MINUTE))


def test_an_end_without_its_checks_is_line_2(monkeypatch):
    """A core that does not wait for post-cutover checks completes without them."""
    broken = world()
    broken.checked = dict.fromkeys([c.name for c in broken.runbook.post_checks], False)
    monkeypatch.setattr(blocking, "_checks", lambda *_: [])
    assert "complete without" in crossed(2, lambda: broken.advance(60 * MINUTE))


def test_a_first_stage_without_preconditions_is_line_2(monkeypatch):
    """Unknown is not fulfilled."""
    broken = world("preparing")
    broken.prepared = {pre.check: None for pre in broken.runbook.preconditions}
    monkeypatch.setattr(orders, "refusal", lambda *_: "")
    opened = step.OpenStage("shadow", (), ())
    monkeypatch.setattr(step, "_prepare", lambda *_: opened)
    assert "opened with" in crossed(2, lambda: broken.advance(MINUTE))


def test_a_promotion_while_held_is_line_3(monkeypatch):
    """A core that forgets the operator's hold."""
    broken = world("shadow")
    broken.order(HoldOrder("ana", "look"))
    monkeypatch.setattr(blocking, "_orders", lambda *_: [])
    assert "operator holds" in crossed(3, lambda: broken.advance(30 * MINUTE))


def test_a_promotion_before_the_soak_is_over_is_line_3(monkeypatch):
    """A core that asks for no soak."""
    broken = world("canary")
    monkeypatch.setattr(promotion, "_soak_waits", lambda *_: ())
    assert "are asked for" in crossed(3, lambda: broken.advance(4 * MINUTE))


def test_a_promotion_without_a_sight_of_the_way_back_is_line_3(monkeypatch):
    """A core that does not mind that nobody looks at the fallback."""
    broken = world("shadow")
    monkeypatch.setattr(blocking, "_planes", lambda *_: [])
    monkeypatch.setattr(soak, "unseen", lambda *_: False)
    broken.planes["hetzner"].silent = True
    assert "hetzner is not being seen" in crossed(3, lambda: broken.advance(30 * MINUTE))


def test_a_promotion_while_a_rule_is_off_is_line_3(monkeypatch):
    """A core that takes a disarmed rule for one that is clear."""
    broken = world("shadow")
    monkeypatch.setattr(blocking, "_rules", lambda *_: [])
    broken.order(DisarmOrder("ana", "known", "canary-failed", 60 * MINUTE))
    assert "are disarmed" in crossed(3, lambda: broken.advance(30 * MINUTE))


def test_a_table_that_rises_by_itself_is_line_3():
    """No observation raises a share."""
    broken = world("canary")
    entry = Entry(broken.run.seq + 1, broken.now, 0, Readiness("phala", 200, True, True, ""))
    risen = replace(
        broken.run, seq=entry.seq, stage=broken.run.stage + 1, generation=broken.run.generation + 1
    )
    said = crossed(3, lambda: broken.watch(broken.runbook, broken.run, entry, risen))
    assert "Readiness" in said


def _bad_looks(broken):
    broken.planes["phala"].status = 503
    broken.advance(3 * MINUTE)


def _bad_canaries(broken):
    broken.fails = {"phala": ("github",)}
    broken.advance(11 * MINUTE)


def _bad_payments(broken):
    node = broken.nodes["g1"]
    node.add((broken.run.generation, Intent.PAY, "phala", Outcome.BUSINESS_FAILED), 90)
    broken.submit(node.report())


def _lost_attestation(broken):
    broken.verdict = Verdict.MISSING
    broken.advance(2 * MINUTE)


def _silent_attestation(broken):
    broken.verdict = None
    broken.advance(11 * MINUTE)


@pytest.mark.parametrize(
    "fault", [_bad_looks, _bad_canaries, _bad_payments, _lost_attestation, _silent_attestation]
)
def test_a_condition_without_an_answer_is_line_4(monkeypatch, fault):
    """A core that does not watch its rules goes on."""
    broken = world()
    monkeypatch.setattr(step, "_watch", lambda *_: None)
    assert "is not answered" in crossed(4, lambda: fault(broken))


def test_a_rollback_that_leaves_somebody_there_is_line_4(monkeypatch):
    """All intents go back."""
    broken = world()
    monkeypatch.setattr(split, "returned", lambda _: False)
    assert "leaves" in crossed(4, lambda: _bad_looks(broken))


def test_a_refused_abort_is_line_5(monkeypatch):
    """In any phase that is not final."""
    broken = world()
    order = AbortOrder("ana", "stop")
    monkeypatch.setattr(orders, "admits", lambda *_: False)
    assert "abort was refused in running" in crossed(5, lambda: broken.order(order))


def test_an_abort_that_does_nothing_is_line_5(monkeypatch):
    """It acts before the core rests."""
    broken = world()
    monkeypatch.setattr(fold, "_ordered", lambda _book, run, _entry, _order: run)
    order = AbortOrder("ana", "stop")
    assert "the run is running" in crossed(5, lambda: broken.order(order))


def test_another_key_after_an_unknown_end_is_line_6(monkeypatch):
    """A core that counts every attempt would pay again."""
    broken = world("shadow")
    real = fold._live
    monkeypatch.setattr(
        fold, "_live", lambda book, run, entry, seen: real(book, run, entry, replace(seen, ok=True))
    )
    broken.live_ok = {Intent.PAY: None}
    assert "another key" in crossed(6, lambda: broken.advance(30 * MINUTE))


def test_a_term_that_is_used_twice_is_line_8():
    """Two conductors never share one."""
    broken = world()
    again = Started(broken.run.term, "other", 0)
    assert "begins term 1" in crossed(8, lambda: broken.submit(again))


def test_a_table_that_changes_under_its_number_is_line_8(monkeypatch):
    """A node would not take it."""
    broken = world()
    monkeypatch.setattr(fold, "_rerouted", lambda _book, run, _entry: run)
    assert "bears number" in crossed(8, lambda: _bad_looks(broken))


@pytest.mark.parametrize("change", ["missing", "reordered", "truncated", "flipped"])
def test_a_journal_that_is_not_the_run_s_is_line_9(change):
    """One entry less, two in each other's place, a shorter one, another fact."""
    broken = world()
    entries = list(broken.entries)
    at = len(entries) // 2
    match change:
        case "missing":
            del entries[at]
        case "reordered":
            entries[at], entries[at + 1] = entries[at + 1], entries[at]
        case "truncated":
            del entries[at:]
        case "flipped":
            other = Readiness("phala", 503, False, False, "never seen")
            entries[at] = replace(entries[at], fact=other)
    crossed(9, lambda: broken.watch.end(broken.runbook, entries, broken.run))


def test_counters_that_lose_something_are_line_9(monkeypatch):
    """What is kept from report to report equals what counting everything gives."""
    broken = world()
    monkeypatch.setattr("cutover.decision.traffic._split", lambda run, *_: run.split)
    assert "the nodes have told" in crossed(9, lambda: broken.advance(20 * MINUTE))


@pytest.mark.parametrize("stretch", ["gap", "downtime"])
def test_unwatched_time_that_counts_is_line_11(monkeypatch, stretch):
    """A core that adds whatever lies between two looks."""
    broken = world("canary")

    def greedy(_runbook, run, at_ms):
        grown = 0 if run.soak.mark == NEVER else at_ms - run.soak.mark
        observed = run.soak.observed_ms + grown
        more = replace(run.soak, mark=at_ms, observed_ms=observed)
        return replace(run, soak=more)

    monkeypatch.setattr(signals, "accrue", greedy)
    broken.advance(MINUTE)
    if stretch == "gap":
        broken.skip(5 * MINUTE)
    else:
        monkeypatch.setattr(fold, "_started", lambda run, seen: replace(run, term=seen.term))
        broken.restart(1_000)
        broken.skip(5 * MINUTE)
    assert "were watched" in crossed(11, lambda: broken.advance(MINUTE))


def test_time_that_goes_back_is_line_11():
    """Observed time never does."""
    broken = world()
    broken.now -= 1_000
    assert "after" in crossed(11, lambda: broken.look("phala"))


def test_a_window_that_only_grows_is_line_12():
    """The payment window holds a limited number of slices."""
    broken = world()
    entry = Entry(broken.run.seq + 1, broken.now, 0, Readiness("phala", 200, True, True, ""))
    grown = replace(broken.run, seq=entry.seq, payments=(Payments(1, 1, 0, 1),) * 400)
    said = crossed(12, lambda: broken.watch(broken.runbook, broken.run, entry, grown))
    assert "400 slices" in said


def test_a_state_that_only_grows_is_line_12():
    """Its stored form stays small."""
    broken = world()
    large = replace(broken.run, waived={f"check-{n}": "x" * 100 for n in range(3_000)})
    end = CHECKERS[-1].end
    assert "bytes" in crossed(12, lambda: end(broken.runbook, broken.entries, large))


def test_a_watch_may_join_a_run_later():
    """What stood when it joined is no rise."""
    joined = world()
    joined.watch = Watch()
    joined.watch.seen.term = joined.run.term
    joined.look("hetzner")
    assert joined.watch.seen.table is not None


def test_a_violation_crosses_processes_whole():
    """A worker's violation names its line to the parent."""
    back = pickle.loads(pickle.dumps(Violation(4, "text")))  # noqa: S301 - it was made right here
    assert (back.line, back.text, str(back)) == (4, "text", "line 4: text")
