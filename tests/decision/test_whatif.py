"""What other rules would have made of a record: same rules same moves, other rules other moves."""

import dataclasses
import functools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cutover.conductor.loop import TICK_SECONDS_MAX
from cutover.decision.command import RetryOrder
from cutover.decision.kinds import Decision, Hold, Returned
from cutover.decision.run import TERMINAL
from cutover.decision.whatif.book import Book
from cutover.decision.whatif.compare import what_if
from cutover.decision.whatif.fit import misfits
from cutover.decision.whatif.instants import TICK_MS, first_due
from cutover.decision.whatif.result import WhatIf
from cutover.evidence.outcome import Outcome
from cutover.runbook.document import Runbook
from cutover.runbook.intent import Intent, Risk
from cutover.runbook.load import load_text
from decision.scenario import _begun, _copied, changed, runbook_text
from decision.test_properties import STARTS, STEPS, TEXT, _take
from decision.world import World

OVER_AN_HOUR = 3_600_000


class Quiet:
    """Looks on and says nothing: here the comparison is on trial, not the core."""

    def __call__(self, *_: object) -> None:
        pass

    def rest(self, *_: object) -> None:
        pass


def demo(**changes: object) -> Runbook:
    """The demo's runbook with values replaced; `__` stands for a dot, `_` in a rule for a dash."""
    dotted = {name.replace("__", "."): value for name, value in changes.items()}
    dotted = {
        name.replace("payments_failed", "payments-failed").replace("n_lost", "n-lost"): value
        for name, value in dotted.items()
    }
    return load_text(runbook_text("demo", repr(dotted)), "demo")


DEMO = demo()


def compared(world: World, other: Runbook) -> WhatIf:
    book = Book()
    for entry in world.entries:
        book.note(entry)
    return what_if(book, iter(world.entries), world.runbook, other)


def codes(result: WhatIf) -> set[str]:
    return {limit.code for limit in result.limits}


def in_primary() -> World:
    """A healthy run that stands in its last stage, where clients' payments reach the candidate."""
    return _copied(_primary())


@functools.cache
def _primary() -> World:
    world = World(DEMO, Quiet())
    assert world.until(lambda run: run.stage == 3, OVER_AN_HOUR)
    world.advance(5_000)
    return world


def history(at: str, steps: list) -> World:
    """A run that stands somewhere, and then whatever steps say."""
    world = _copied(_begun(TEXT, at, 10_000))
    world.watch = Quiet()
    for kind, what in steps:
        if world.run.phase in TERMINAL:
            break
        _take(world, kind, what)
    return world


def fail_payments(world: World, n: int) -> int:
    """Clients' payments fail on the candidate; the entry that tells of it."""
    node = world.nodes["g1"]
    node.add((node.generation, Intent.PAY, "phala", Outcome.BUSINESS_FAILED), n)
    seq = world.run.seq + 1
    world.submit(node.report())
    return seq


# --- the same rules ---------------------------------------------------------------------------


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(at=STARTS, steps=STEPS)
def test_the_same_rules_never_part(at: str, steps: list) -> None:
    """Of any history the adopted runbook makes what was made of it, to the millisecond."""
    world = history(at, steps)
    result = compared(world, world.runbook)
    assert result.verdict == "same", result.parting
    assert result.alternative == result.recorded
    assert result.rollbacks.added == result.rollbacks.avoided == ()
    for one in result.exposure:
        assert one.alternative_share_hours == one.recorded_share_hours
        assert one.alternative_requests == one.recorded_requests
        assert one.assumed_requests == 0
    assert codes(result) <= {"record_ends", "orders_skipped"}


OTHERS = st.sampled_from(
    [
        {"rollback.payments-failed.percent": 1, "rollback.payments-failed.min_settled": 1},
        {"rollback.not-ready.longer_than": "10s", "rollback.canary-failed.runs": 5},
        {"stage.canary.share": {"analyze": 30, "create": 0, "pay": 0}},
        {"stage.shadow.soak": {"observed": "1m", "canary_runs": 1, "answers": 0}},
        {"stage.primary.soak": {"observed": "10m", "canary_runs": 1, "answers": 10}},
    ]
)


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(at=STARTS, steps=STEPS, changes=OTHERS)
def test_other_rules_are_compared_with_any_history(at: str, steps: list, changes: dict) -> None:
    """No history is refused, the record's side is the journal's, counts stay in bounds."""
    world = history(at, steps)
    text = TEXT
    for dotted, value in changes.items():
        text = changed(text, dotted, value)
    result = compared(world, load_text(text, "other"))
    assert [m.kind for m in result.recorded] == [type(d).__name__ for d in world.decisions()]
    if result.parting is None:
        assert [m.key for m in result.alternative] == [m.key for m in result.recorded]
    else:
        before = [m.key for m in result.recorded if m.seq < result.parting.seq]
        assert [m.key for m in result.alternative][: len(before)] == before
        assert "another_world" in codes(result)
    hours = result.observed_ms / OVER_AN_HOUR
    for one in result.exposure:
        assert 0 <= one.alternative_share_hours <= hours + 1e-9
        assert one.alternative_requests <= one.recorded_requests
        assert one.unknown_requests <= one.assumed_requests
        assert one.alternative_failed <= one.recorded_failed
        assert one.assumed_failed <= one.assumed_requests


# --- stricter and looser rules ----------------------------------------------------------------


def test_a_stricter_rule_adds_a_rollback_at_the_entry_that_trips_it() -> None:
    """3 of some 200 payments fail: 2 % lets them pass, 1 % rolls back on that very report."""
    world = in_primary()
    seq = fail_payments(world, 2)
    world.advance(5_000)
    result = compared(world, demo(rollback__payments_failed__percent=1))
    assert result.parting is not None
    assert result.parting.seq == seq
    assert result.parting.recorded.startswith("no move")
    assert result.parting.alternative == "RollBack payments-failed"
    (added,) = result.rollbacks.added
    assert (added.kind, added.what, added.seq) == ("RollBack", "payments-failed", seq)
    assert result.rollbacks.avoided == ()
    assert [m.kind for m in result.alternative][-2:] == ["RollBack", "Returned"]
    money = next(e for e in result.exposure if e.risk is Risk.MONEY)
    assert money.saved_share_hours == pytest.approx(5_000 / OVER_AN_HOUR, abs=1e-6)
    assert money.alternative_requests < money.recorded_requests
    assert money.recorded_failed == money.alternative_failed == 2
    assert {"another_world", "after_rollback", "resplit", "no_retry"} <= codes(result)


def test_a_looser_rule_avoids_the_rollback() -> None:
    """What 2 % rolled back 20 % would have let pass; what came then is told at the rates seen."""
    world = in_primary()
    seq = fail_payments(world, 10)
    world.advance(30_000)
    assert world.run.phase == "rolled_back"
    result = compared(world, demo(rollback__payments_failed__percent=20))
    assert result.parting is not None
    assert result.parting.recorded == "RollBack payments-failed"
    (avoided,) = result.rollbacks.avoided
    assert avoided.seq == seq + 1
    assert result.rollbacks.added == ()
    money = next(e for e in result.exposure if e.risk is Risk.MONEY)
    assert money.saved_share_hours < 0
    assert money.assumed_requests > 100
    assert money.unknown_requests == 0
    assert 0 < money.assumed_failed <= money.worst_failed < money.assumed_requests
    assert result.alternative_end.phase != "rolled_back"
    assert "assumed_outcomes" in codes(result)


def test_an_order_that_would_not_have_applied_is_named() -> None:
    """A `retry` after a rollback means nothing where nothing was rolled back."""
    world = in_primary()
    fail_payments(world, 10)
    world.advance(10_000)
    world.order(RetryOrder("ann", "fixed"))
    assert world.refused == ""
    result = compared(world, demo(rollback__payments_failed__percent=20))
    (limit,) = [one for one in result.limits if one.code == "orders_skipped"]
    assert "`retry` by ann" in limit.text


def test_time_alone_is_heard_between_two_entries() -> None:
    """A verdict that grows too old trips at the first tick after its age, entry or not."""
    world = in_primary()
    world.align("attestation")
    world.advance(1)
    attested = world.now
    world.verdict = None
    world.advance(8_000)
    other = demo(rollback__attestation_lost__max_age="5s", gate__attestation__max_age="5s")
    result = compared(world, other)
    (added,) = result.rollbacks.added
    assert added.what == "attestation-lost"
    assert attested + 5_000 < added.at_ms <= attested + 5_000 + TICK_MS


class Sudden:
    """A path on which a move becomes due at one moment."""

    def due(self, at_ms: int) -> Decision:
        return Hold(()) if at_ms < 7_301 else Returned((), ())


@pytest.mark.parametrize(
    ("start", "end", "at"), [(0, 60_000, 7_500), (7_299, 9_000, 7_549), (0, 7_500, None)]
)
def test_the_first_look_after_a_moment_is_found(start: int, end: int, at: int | None) -> None:
    """However long the silence, and never the entry that ends it."""
    assert first_due(Sudden(), start, end) == at  # type: ignore[arg-type]  # all of a lane it asks


def test_payments_in_flight_end_where_none_is_sent() -> None:
    """The way back of the other path waits for its own payments, not for the record's."""
    world = in_primary()
    fail_payments(world, 2)
    world.nodes["g1"].money_in_flight = 3
    world.advance(30_000)
    result = compared(world, demo(rollback__payments_failed__percent=1))
    assert [m.kind for m in result.alternative][-2:] == ["RollBack", "Returned"]
    back, done = result.alternative[-2:]
    assert done.at_ms - back.at_ms < 5_000


def test_the_tick_is_the_conductor_s() -> None:
    """Both give time a say at the same pace."""
    assert TICK_MS == TICK_SECONDS_MAX * 1000


# --- soaks ------------------------------------------------------------------------------------


def test_a_longer_soak_promotes_later() -> None:
    """14 s more in shadow, 14 s later in canary, and the record ends before the run would."""
    world = World(DEMO, Quiet())
    assert world.until(lambda run: run.phase == "complete", OVER_AN_HOUR)
    longer = demo(stage__shadow__soak={"observed": "20s", "canary_runs": 4, "answers": 0})
    result = compared(world, longer)
    later = {pair.what: pair.later_ms for pair in result.promotions}
    assert later["shadow"] == 0
    assert later["canary"] == 14_000
    assert later["primary"] is None
    assert result.recorded_end.completed_at_ms == world.now
    assert result.alternative_end.completed_at_ms is None
    (end,) = [one for one in result.limits if one.code == "record_ends"]
    assert "would still be in mixed" in end.text
    assert "of 14s observed" in end.text
    low = next(e for e in result.exposure if e.risk is Risk.LOW)
    assert low.saved_share_hours > 0
    assert low.assumed_requests == 0


def test_a_shorter_soak_is_not_believed_to_be_answered_well() -> None:
    """Where no request of the kind was ever seen on the candidate, its answers are unknown."""
    world = World(DEMO, Quiet())
    assert world.until(lambda run: run.stage == 1, OVER_AN_HOUR)
    shorter = demo(stage__shadow__soak={"observed": "2s", "canary_runs": 1, "answers": 0})
    result = compared(world, shorter)
    (pair,) = [p for p in result.promotions if p.what == "canary"]
    assert pair.later_ms is not None
    assert pair.later_ms < -2_000
    low = next(e for e in result.exposure if e.risk is Risk.LOW)
    assert low.assumed_requests == low.unknown_requests == low.worst_failed > 0
    assert {"assumed_evidence", "unknown_outcomes"} <= codes(result)


def test_what_the_record_never_has_is_waited_for() -> None:
    """Without a live intent anywhere in the record no other soak gets past its gate."""
    world = World(DEMO, Quiet())
    world.advance(5_000)
    assert world.live_done == []
    shorter = demo(stage__shadow__soak={"observed": "2s", "canary_runs": 1, "answers": 0})
    result = compared(world, shorter)
    assert result.verdict == "same"
    (limit,) = [one for one in result.limits if one.code == "missing_evidence"]
    assert "live analyze" in limit.text


def test_other_shares_part_at_the_move_that_puts_them_in_force() -> None:
    """The same stage at the same time with twice the share is another world."""
    world = World(DEMO, Quiet())
    assert world.until(lambda run: run.stage == 2, OVER_AN_HOUR)
    result = compared(world, demo(stage__canary__share={"analyze": 20, "create": 0, "pay": 0}))
    assert result.parting is not None
    assert result.parting.recorded == "OpenStage canary with analyze 10%"
    assert result.parting.alternative == "OpenStage canary with analyze 20%"
    low = next(e for e in result.exposure if e.risk is Risk.LOW)
    assert low.alternative_share_hours > low.recorded_share_hours
    assert low.assumed_requests > 0


def test_another_cadence_is_not_what_was_looked_at() -> None:
    """The record's cadence stands, and it is said."""
    world = World(DEMO, Quiet())
    assert world.until(lambda run: run.stage == 1, OVER_AN_HOUR)
    timing = dataclasses.replace(DEMO.timing, canary_every_ms=100)
    result = compared(world, dataclasses.replace(DEMO, timing=timing))
    assert result.verdict == "same"
    assert "pace" in codes(result)


# --- what cannot be compared ------------------------------------------------------------------


def test_a_runbook_of_other_planes_does_not_fit() -> None:
    """Each misfit has file, line and what would fit."""
    world = in_primary()
    book = Book()
    for entry in world.entries:
        book.note(entry)
    assert misfits(book, DEMO, DEMO, "same.toml") == []
    text = DEMO.text.replace('candidate = "phala"', 'candidate = "dstack"')
    (found,) = misfits(book, DEMO, load_text(text, "other.toml"), "other.toml")
    line = next(n for n, row in enumerate(text.splitlines(), 1) if row.startswith("candidate"))
    assert str(found).startswith(f"other.toml:{line}: error: runbook.candidate: saw 'dstack'")


def test_what_the_record_never_carried_out_does_not_fit() -> None:
    """A precondition or a live intent that nobody looked at would be waited for without end."""
    world = in_primary()
    book = Book()
    for entry in world.entries:
        book.note(entry)
    del book.preconditions[DEMO.preconditions[0].check]
    del book.live["phala", Intent.PAY]
    found = misfits(book, DEMO, DEMO, "other.toml")
    assert [one.where for one in found] == [
        "precondition[identical_image].check", "gate[live_intent].intents",
    ]  # fmt: skip


def test_an_empty_record_is_no_record() -> None:
    """There is nothing to compare with."""
    with pytest.raises(ValueError, match="first entry"):
        what_if(Book(), [], DEMO, DEMO)
