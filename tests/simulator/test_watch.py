"""Each checker that needs a world goes red on its violation, and is silent on what is allowed."""

import asyncio
from types import SimpleNamespace

import pytest

from cutover.decision.fact import Entry
from cutover.decision.kinds import AbortRun, Complete, Hold, Reason, RollBack
from cutover.decision.run import Run
from cutover.evidence.observation import (
    Attestation,
    GatewayReport,
    Reference,
    Started,
    Verdict,
)
from cutover.evidence.outcome import Count, Outcome
from cutover.runbook.gate import Evidence
from cutover.runbook.intent import Intent
from cutover.simulator.checkers.violation import Violation
from cutover.simulator.faults import Fault, Kind
from cutover.simulator.kernel.host import Host
from cutover.simulator.kernel.run import run
from cutover.simulator.watch.counted import Counted
from cutover.simulator.watch.excuses import GRACE_MS, Weatherbook, touches_link, touches_route
from cutover.simulator.watch.leadership import ON_DISK_MS, Leadership
from cutover.simulator.watch.money import ON_THE_WAY_MS, Money
from cutover.simulator.watch.overheard import check_overheard
from cutover.simulator.watch.promptness import WITHIN_MS, Promptness
from cutover.simulator.watch.requests import check_answered
from cutover.simulator.watch.secrets import check_silent
from cutover.simulator.watch.stamps import Stamps
from cutover.simulator.watch.submissions import Submissions
from cutover.simulator.watch.watcher import Watcher
from cutover.simulator.world.clients import Asked
from simulator.paths import swift

PLANES = ("hetzner", "phala")
CONDUCTORS = ("conductor", "standby")
WHY = (Reason("told", "for a test"),)


def entry(fact, seq=1):
    return Entry(seq=seq, at_ms=0, wall_ms=0, fact=fact)


def crosses(line):
    return pytest.raises(Violation, match=f"^line {line}: ")


def at_work(fault, since=0, until=None):
    book = Weatherbook()
    book.note(fault, since, begins=True)
    if until is not None:
        book.note(fault, until, begins=False)
    return book


# line 1: money at the plane


class Paid:
    """A candidate that is asked to pay, and what was said of it before."""

    def __init__(self, book=None):
        self.money = Money(swift(), ("gateway-1",), CONDUCTORS, book or Weatherbook())

    def verdict(self, verdict, now_ms, evidence=Evidence.VERIFIED, plane="phala"):
        self.money.recorded([entry(Attestation(plane, verdict, evidence, "i", ()))], now_ms)
        return self

    def pay(self, now_ms, plane="phala", key="client-1", text="pay 0.01 USDC to acme/tool"):
        self.money.submitted(plane, key, text, now_ms)


MAX_AGE_MS = swift().attestation_gate().max_age_ms


def test_a_payment_at_a_candidate_that_was_never_verified_is_seen():
    """Elsewhere it is allowed, and so is what moves no money; unknown texts may move it."""
    paid = Paid()
    paid.pay(5, plane="hetzner")
    paid.pay(5, text="analyze acme/tool")
    paid.pay(5, key="conductor-7")
    for text in ("pay 0.01 USDC to acme/tool", "give acme/tool a coin"):
        with crosses(1):
            paid.pay(5, text=text)
    with crosses(1):
        Paid().verdict(Verdict.VERIFIED, 0, plane="hetzner").pay(5)


def test_a_payment_on_reported_evidence_is_seen_where_verified_is_asked_for():
    """What a plane says of itself is not enough."""
    with crosses(1):
        Paid().verdict(Verdict.VERIFIED, 0, Evidence.REPORTED).pay(5)


def test_a_payment_after_the_verdict_s_age_is_seen():
    """At the limit it is not, with the time that a word needs."""
    paid = Paid().verdict(Verdict.VERIFIED, 0)
    paid.pay(MAX_AGE_MS + ON_THE_WAY_MS)
    with crosses(1):
        paid.pay(MAX_AGE_MS + ON_THE_WAY_MS + 1)


@pytest.mark.parametrize("verdict", [Verdict.INVALID, Verdict.MISSING, Verdict.DEGRADED])
def test_a_payment_after_a_bad_verdict_is_seen(verdict):
    """Once it had time to arrive; a newer good one allows it again."""
    paid = Paid().verdict(Verdict.VERIFIED, 0).verdict(verdict, 100)
    paid.pay(100 + ON_THE_WAY_MS)
    with crosses(1):
        paid.pay(101 + ON_THE_WAY_MS)
    paid.verdict(Verdict.VERIFIED, 500).pay(600)


def test_a_node_that_is_cut_off_is_excused_until_the_verdict_is_too_old():
    """It goes on alone, but not for ever."""
    cut = Fault(Kind.CUT, 0, 10**6, "conductor~gateway-1")
    paid = Paid(at_work(cut)).verdict(Verdict.VERIFIED, 0).verdict(Verdict.INVALID, 100)
    paid.pay(5000)
    with crosses(1):
        paid.pay(MAX_AGE_MS + ON_THE_WAY_MS + 1)


def test_what_could_not_be_verified_is_no_bad_verdict():
    """The last good one counts for as long as it is young."""
    paid = Paid().verdict(Verdict.VERIFIED, 0).verdict(Verdict.UNVERIFIABLE, 100)
    paid.pay(5000)


def test_a_run_that_is_over_watches_no_more():
    """Nobody looks at the candidate after `Complete`."""
    paid = Paid().verdict(Verdict.VERIFIED, 0)
    paid.money.recorded([entry(Complete(WHY, ()))], 1)
    paid.pay(10**7)


# line 4: promptness


class Node:
    def __init__(self):
        self.name, self.host, self.number = "gateway-1", Host("gateway-1"), 4

    def generation(self):
        return self.number


def look(*, fact=None, before=4, after=4, reborn=False, dead=False, book=None):
    """A way back is decided as generation 5; how often was looked, or a violation."""

    async def main():
        node = Node()
        node.number = before
        node.host = None if dead else node.host
        watched = Promptness([node], CONDUCTORS, book or Weatherbook())
        watched.recorded([entry(fact or RollBack("r", WHY, ()))], 5)
        await asyncio.sleep((WITHIN_MS - 1) / 1000)
        node.number = after
        node.host = Host("gateway-1", 2) if reborn else node.host
        await asyncio.sleep(0.01)
        watched.check()
        return watched.looks

    return run(main())


@pytest.mark.parametrize("fact", [RollBack("r", WHY, ()), AbortRun("operator", WHY, ())])
def test_a_node_that_still_goes_by_the_old_table_is_late(fact):
    """50 ms after the way back was decided; in time, it is silent."""
    with crosses(4):
        look(fact=fact)
    assert look(fact=fact, after=5) == 1


def test_only_who_could_be_told_is_late():
    """Not a dead node, a new one, one without a table, one cut off; and holds hurry nobody."""
    cut = at_work(Fault(Kind.CUT, 0, 10**6, "conductor~*"))
    assert look(dead=True) == 0
    assert look(before=0) == 0
    assert look(book=cut) == 0
    assert look(fact=Hold(WHY)) == 0
    assert look(reborn=True) == 1
    elsewhere = at_work(Fault(Kind.CUT, 0, 10**6, "gateway-1~phala"))
    with crosses(4):
        look(book=elsewhere)


# line 6: submissions


def test_a_client_s_request_that_is_executed_twice_is_seen():
    """On whichever plane; another request is another one."""
    for second in PLANES:
        seen = Submissions()
        seen("hetzner", "client-1")
        seen("hetzner", "client-2")
        with crosses(6):
            seen(second, "client-1")


def test_the_conductor_may_repeat_its_payment_where_it_made_it():
    """Under its key; on the other plane it would be another payment."""
    seen = Submissions()
    seen("phala", "run/live-1")
    seen("phala", "run/live-1")
    seen("phala", "")
    seen("hetzner", "")
    with crosses(6):
        seen("hetzner", "run/live-1")


# line 7: requests


def asked(**said):
    values = {"number": 1, "intent": Intent.PAY, "node": "gateway-1", "sent_ms": 9000}
    return Asked(**{**values, "ended_ms": 9100, "status": 200, **said})


LOST = (
    {"status": 0, "error": "ConnectionResetError"},
    {"status": 502, "code": "not_sent"},
    {"status": 504, "code": "unknown_outcome"},
    {"status": 503, "code": "overloaded"},
)


@pytest.mark.parametrize("lost", LOST)
def test_a_request_that_is_lost_without_an_excuse_is_seen(lost):
    """A fault of the route excuses it, and is counted."""
    with crosses(7):
        check_answered([asked(), asked(**lost)], Weatherbook(), PLANES)
    hang = at_work(Fault(Kind.HANG, 8000, 500, "phala"), 8000, 8500)
    assert check_answered([asked(), asked(**lost)], hang, PLANES) == 1


def test_an_answer_and_a_clear_refusal_need_no_excuse():
    """Money fails closed with a word for it."""
    fine = [asked(), asked(status=503, code="payments_paused")]
    assert check_answered(fine, Weatherbook(), PLANES) == 0


@pytest.mark.parametrize(
    ("fault", "excuses"),
    [
        (Fault(Kind.CRASH, 0, 9, "gateway-1"), True),
        (Fault(Kind.CRASH, 0, 9, "gateway-2"), False),
        (Fault(Kind.CRASH, 0, 9, "conductor"), False),
        (Fault(Kind.PAUSE, 0, 9, "conductor"), False),
        (Fault(Kind.TAKEOVER, 0, 9), False),
        (Fault(Kind.TORN_WRITE, 0), False),
        (Fault(Kind.DISK_FULL, 0, 9), False),
        (Fault(Kind.WALL_JUMP, 0, 0, "", "60"), False),
        (Fault(Kind.ORDER, 0, 0, "", "abort"), False),
        (Fault(Kind.CUT, 0, 9, "gateway-1~phala"), True),
        (Fault(Kind.CUT, 0, 9, "gateway-2~phala"), False),
        (Fault(Kind.CUT, 0, 9, "conductor~gateway-1"), False),
        (Fault(Kind.LOSE, 0, 9, "gateway-1~phala", "5"), False),
        (Fault(Kind.RESTART, 0, 9, "phala"), True),
        (Fault(Kind.GUEST_GONE, 0, 9), False),
    ],
)
def test_only_what_lies_on_a_request_s_way_excuses_it(fault, excuses):
    """Nothing that befalls a conductor ever does."""
    assert touches_route(fault, "gateway-1", PLANES) is excuses


@pytest.mark.parametrize(
    ("fault", "excuses"),
    [
        (Fault(Kind.CRASH, 0, 9, "gateway-1"), True),
        (Fault(Kind.CRASH, 0, 9, "gateway-2"), False),
        (Fault(Kind.CRASH, 0, 9, "conductor"), True),
        (Fault(Kind.TAKEOVER, 0, 9), True),
        (Fault(Kind.CUT, 0, 9, "conductor~gateway-1"), True),
        (Fault(Kind.CUT, 0, 9, "conductor~*"), True),
        (Fault(Kind.CUT, 0, 9, "conductor~phala"), False),
        (Fault(Kind.CUT, 0, 9, "gateway-1~phala"), False),
        (Fault(Kind.HANG, 0, 9, "phala"), False),
        (Fault(Kind.WALL_JUMP, 0, 0, "", "60"), False),
    ],
)
def test_only_what_lies_between_conductor_and_node_excuses_a_late_table(fault, excuses):
    """What befalls planes is no reason to be late."""
    assert touches_link(fault, "gateway-1", CONDUCTORS) is excuses


def test_a_fault_excuses_from_its_beginning_until_shortly_after_its_end():
    """Neither before nor for ever."""
    fault = Fault(Kind.HANG, 1000, 1000, "phala")
    book = at_work(fault, 1000, 2000)
    assert book.between(0, 999) == []
    assert book.between(0, 1000) == [fault]
    assert book.between(2000 + GRACE_MS, 10**6) == [fault]
    assert book.between(2001 + GRACE_MS, 10**6) == []
    assert at_work(fault, 1000).between(10**6, 10**7) == [fault]


# line 8: leadership


def started(term, seq=1):
    return entry(Started(term=term, boot="b", downtime_ms=0), seq)


def test_who_does_not_lead_and_writes_is_seen():
    """A takeover with a higher term is allowed, the waking of the first is not."""
    seen = Leadership()
    seen.recorded("conductor", [started(1), entry(Reference(True, ""), 2)])
    seen.recorded("standby", [started(2, 3)])
    seen.recorded("standby", [entry(Reference(True, ""), 4)])
    with crosses(8):
        seen.recorded("conductor", [entry(Reference(True, ""), 5)])


@pytest.mark.parametrize("term", [1, 2])
def test_a_term_that_was_had_before_is_seen(term):
    """Each start has one of its own, higher than the last."""
    seen = Leadership()
    seen.recorded("conductor", [started(2)])
    with crosses(8):
        seen.recorded("standby", [started(term, 2)])


@pytest.mark.parametrize(("term", "generation"), [(1, 9), (2, 4), (0, 0)])
def test_a_node_that_goes_back_is_seen(term, generation):
    """To an older term or generation; a process without a table yet says nothing."""
    seen = Leadership()
    seen.reported("gateway-1", "a", 1, 5, 0)
    seen.reported("gateway-1", "a", 2, 5, 10)
    seen.reported("gateway-1", "b", 0, 0, 20)
    seen.reported("gateway-1", "b", 2, 6, 30)
    seen.reported("gateway-2", "c", 1, 1, 40)
    if generation:
        with crosses(8):
            seen.reported("gateway-1", "b", term, generation, 50)
    else:
        seen.reported("gateway-1", "b", term, generation, 50)


def test_a_table_that_died_before_it_was_on_the_disk_is_no_way_back():
    """A successor may begin with the one before for a moment; a table of old it may not forget."""
    seen = Leadership()
    seen.reported("gateway-1", "a", 1, 5, 0)
    seen.reported("gateway-1", "a", 2, 6, 10_000)
    seen.reported("gateway-1", "b", 1, 5, 10_000 + ON_DISK_MS)
    seen.reported("gateway-1", "b", 2, 6, 13_000)
    with crosses(8):
        seen.reported("gateway-1", "c", 1, 5, 13_001 + ON_DISK_MS)


# lines 9 and 10, and the watcher


def test_a_table_that_is_obeyed_before_it_is_journaled_is_seen():
    """A node may lag behind the journal, never be ahead of it."""
    seen = Leadership()
    seen.obeyed("gateway-1", 4, 5)
    seen.obeyed("gateway-1", 5, 5)
    with crosses(9):
        seen.obeyed("gateway-1", 6, 5)


def test_a_secret_in_an_entry_is_seen_and_not_told():
    """The violation says how many, not which."""
    check_silent([entry(Reference(True, "fine"))], [b"hush-hush"])
    with crosses(10) as caught:
        check_silent([entry(Reference(True, "key hush-hush"))], [b"hush-hush"])
    assert "hush-hush" not in str(caught.value)


def test_a_conductor_whose_state_is_not_the_journal_s_is_seen():
    """Whatever it knows beyond the journal would be gone with it."""
    watcher = Watcher(swift())
    with crosses(9):
        watcher.end([Run(id="another")])


def test_the_watcher_keeps_the_first_violation_and_wakes_who_waits():
    """A simulation ends there."""

    async def main():
        watcher = Watcher(swift())
        watcher.submitted("hetzner", "client-1", "analyze acme/tool")
        assert not watcher.violated.is_set()
        watcher.submitted("phala", "client-1", "analyze acme/tool")
        watcher.reported("gateway-1", "b", 2, 2)
        watcher.reported("gateway-1", "b", 1, 1)
        return watcher.violated.is_set(), watcher.violation.line

    assert run(main()) == (True, 6)


def test_the_watcher_is_joined_to_every_part():
    """A secret, an older term and a payment reach it through what the world calls."""

    async def main():
        found = []
        for tell in (_early, _secret, _stale, _unproved, _uncounted):
            watcher, node = Watcher(swift()), Node()
            node.number = 9 if tell is _early else 0
            world = SimpleNamespace(
                conductors=[SimpleNamespace(name=name) for name in CONDUCTORS],
                nodes=[node],
            )
            watcher.join(world, ["hush-hush"])
            tell(watcher)
            found.append(watcher.violation.line)
        return found

    assert run(main()) == [9, 10, 8, 1, 7]


def _early(watcher):
    watcher.recorded("conductor", [])


def _uncounted(watcher):
    watcher._counted = told(report(0))
    watcher.count(ANSWERED)


def _secret(watcher):
    watcher._fold = lambda _: None  # the lines of one journal are tried elsewhere
    watcher._lines.rest = lambda *_: None
    watcher.recorded("conductor", [entry(Reference(True, "hush-hush"))])


def _stale(watcher):
    watcher.reported("gateway-1", "b", 2, 2)
    watcher.reported("gateway-1", "b", 1, 3)


def _unproved(watcher):
    watcher.submitted("phala", "client-1", "pay 0.01 USDC to acme/tool")


# line 7 in the journal, line 11 in the world's time


def report(n, boot="b", node="gateway-1", generation=1, plane="phala"):
    count = Count(generation, Intent.ANALYZE, plane, Outcome.OK, n)
    return GatewayReport(node, boot, 1, generation, 0, "", 0, 0, (count,), (), None)


def told(*reports, at_ms=10_000):
    seen = Counted()
    for one in reports:
        seen.recorded([entry(one)], at_ms)
    return seen


ANSWERED = [asked(number=n, ended_ms=9100 - 100 * n) for n in range(40)]
EARLY = sum(one.ended_ms < 8000 for one in ANSWERED)


def test_an_answer_that_is_in_no_report_is_seen():
    """What a node counted long before it last reported must be in the journal."""
    told(report(EARLY)).check(ANSWERED, Weatherbook(), 20_000)
    with crosses(7):
        told(report(EARLY - 1)).check(ANSWERED, Weatherbook(), 20_000)


def test_counters_are_cumulative_for_each_process_and_generation():
    """A repeated report adds nothing, another cell does."""
    parts = [report(EARLY - 5), report(EARLY - 5), report(3, generation=2), report(2, boot="c")]
    told(*parts).check(ANSWERED, Weatherbook(), 20_000)
    with crosses(7):
        told(*parts[:3]).check(ANSWERED, Weatherbook(), 20_000)


def test_a_node_that_died_may_have_taken_outcomes_with_it():
    """No other one may."""
    for where, excused in (("gateway-1", True), ("gateway-2", False), ("conductor", False)):
        book = at_work(Fault(Kind.CRASH, 0, 9, where), 0, 9)
        if excused:
            told(report(0)).check(ANSWERED, book, 20_000)
        else:
            with crosses(7):
                told(report(0)).check(ANSWERED, book, 20_000)


def stamped(fact, at_ms, seq=1):
    return Entry(seq=seq, at_ms=at_ms, wall_ms=0, fact=fact)


def test_a_stamp_from_a_time_that_has_not_passed_is_seen():
    """Observed time may lag behind, from each start of a conductor anew; it never leads."""
    stamps, start = Stamps(), Started(term=1, boot="b", downtime_ms=0)
    stamps.recorded([stamped(start, 0)], 0)
    stamps.recorded([stamped(Reference(True, ""), 1000)], 1000 - 1)
    stamps.recorded([stamped(start, 1000)], 9000)
    stamps.recorded([stamped(Reference(True, ""), 1500)], 9600)
    with crosses(11):
        stamps.recorded([stamped(Reference(True, ""), 1700)], 9600)


SECRET = b"secret-key-of-simulated-phala"


@pytest.mark.parametrize("data", [b"GET /ready HTTP/1.1\r\n\r\n", b"GET /health HTTP/1.1\r\n\r\n"])
def test_a_person_in_the_middle_may_be_asked_openly(data):
    """What carries no secret is no one's alone."""
    check_overheard(data, [SECRET])


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"POST /process HTTP/1.1\r\n\r\n", "heard b'POST /process"),
        (b"\x16\x03\x01", "heard"),
        (b"GET /ready HTTP/1.1\r\nx-agent-api-key: " + SECRET + b"\r\n\r\n", "a secret"),
    ],
)
def test_a_person_in_the_middle_who_hears_more_is_line_1(data, said):
    """An order, bytes that nobody can read, and a key beside an open look."""
    with pytest.raises(Violation) as caught:
        check_overheard(data, [SECRET])
    assert caught.value.line == 1
    assert said in caught.value.text
