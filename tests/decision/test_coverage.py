"""What the scenario suite covers, computed from the files: a missing cell is a red test.

Nothing runs here; a cell is filled by a file in which the words for it stand, an expectation after
them. That the files hold is for `test_scenarios`.
"""

from pathlib import Path
from typing import get_args

import pytest

from cutover.decision.kinds import Hold, Move
from cutover.decision.run import Phase
from cutover.decision.transitions import ORDERS
from cutover.simulator.conformance import read
from cutover.simulator.conformance.document import EXPECTATIONS, STEPS
from cutover.simulator.conformance.word import Span

ROOT = Path(__file__).parents[2]
FILES = [read(path) for path in sorted((ROOT / "tests/scenarios").glob("*.toml"))]
MINUTE = 60_000


def wants(step):
    """An expectation's words with what they want."""
    return {word.name: want for word, want in step.expected}


def value(step):
    return step.value.ms if isinstance(step.value, Span) else step.value


# --- clauses, on both sides of their boundaries -----------------------------------------------


def has(word, wanted, **details):
    """Whether a file has a step of exactly this value and these details."""
    return lambda file: any(
        step.word == word
        and value(step) == wanted
        and all(step.details.get(name) == one for name, one in details.items())
        for step in file.steps
    )


def expects(**words):
    """Whether a file expects these words, of lists that they contain the first."""

    def found(file):
        told = [wants(step) for step in file.steps if step.expected]
        return all(any(_meets(one, name, want) for one in told) for name, want in words.items())

    return found


def _meets(told, name, want):
    if name not in told:
        return False
    seen = getattr(told[name], "text", told[name])
    return want in seen if isinstance(seen, list) and not isinstance(want, list) else seen == want


def both(*conditions):
    return lambda file: all(condition(file) for condition in conditions)


STAYS, BACK = expects(moves=[]), expects(rule="not-ready")
SIDES = {
    "`/ready` non-200 for > 2 minutes": (
        both(has("bad", 2 * MINUTE), STAYS), both(has("bad", 2 * MINUTE + 5_000), BACK),
    ),
    "canary `ok=false` on two consecutive runs": (
        both(has("canary", ["false", "ok", "false"]), STAYS),
        both(has("canary", ["false", "false"]), expects(rule="canary-failed")),
    ),
    "payment failures exceed 2% over 30 minutes": (
        both(has("payments", 1, of=50), STAYS),
        both(has("payments", 1, of=49), expects(rule="payments-failed")),
    ),
    "missing attestation signals in production": (
        both(has("attestation", "silent"), has("advance", 10 * MINUTE), STAYS),
        both(has("attestation", "silent"), expects(rule="attestation-lost")),
    ),
    "Run Phala canary every 5 minutes for 2 hours.": (
        both(has("advance", 119 * MINUTE), STAYS), expects(moves="OpenStage"),
    ),
    "Route `pay` to Phala only after 24h zero critical errors.": (
        both(expects(clean="86399s"), STAYS), expects(moves="UnlockIntent"),
    ),
    "Keep Hetzner fallback enabled for 7 days.": (
        both(expects(soak="< 7d"), STAYS), both(expects(soak=">= 7d"), expects(moves="Complete")),
    ),
    "Hetzner retained as fallback plane until error budget is met.": (
        expects(reasons="error_budget"), expects(moves="BeginChecks"),
    ),
    "Preconditions": (
        expects(reasons="precondition:tls_and_domain"), expects(stage="shadow"),
    ),
    "Post-Cutover Checks": (
        expects(reasons="check:webhook_signatures"), expects(moves="Complete"),
    ),
    "fallback unhealthy too": (
        expects(sick=["hetzner"]), both(has("bad", 2 * MINUTE, plane="hetzner"), expects(sick=[])),
    ),
    "conditions armed from the canary stage": (
        expects(moves="AbortRun"), expects(moves="RollBack"),
    ),
    "fast track": (expects(reasons="not_quiet"), expects(moves="OpenStage")),
}  # fmt: skip


@pytest.mark.parametrize("side", [0, 1], ids=["at", "beyond"])
@pytest.mark.parametrize("clause", SIDES)
def test_every_clause_is_shown_on_both_sides(clause, side):
    """Exactly at its boundary, and one step beyond it."""
    assert [f.file for f in FILES if f.clause == clause and SIDES[clause][side](f)]


KEYWORDS = {
    "orders", "restart", "gateway", "no data", "rehearsal", "fast track", "attested endpoint",
}  # fmt: skip


def test_every_clause_is_one_of_the_runbook_s_or_a_known_word():
    """A clause that nobody wrote, or a typo, covers nothing."""
    text = (ROOT / "runbooks/phased.toml").read_text("utf-8")
    known = KEYWORDS | set(SIDES) | {"Acceptance Gates", "in-flight payments accounted for"}
    assert {f.clause for f in FILES if f.clause not in known and f.clause not in text} == set()


# --- orders, in every phase -------------------------------------------------------------------

VERBS = {order.__name__.removesuffix("Order").lower(): order for order in ORDERS}


def phase_before(file, index):
    """The phase in which, as the file says, a step is taken; empty when it does not say."""
    if index == 0:
        return file.at if file.at in set(Phase) else Phase.RUNNING.value
    return wants(file.steps[index - 1]).get("phase", "")


def ordered():
    """Every order that is followed by what became of it: verb, phase, whether it was admitted."""
    for file in FILES:
        for index, step in enumerate(file.steps[:-1]):
            told = wants(file.steps[index + 1])
            if step.word == "order" and "refused" in told:
                yield step.value, phase_before(file, index), not told["refused"]


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("verb", VERBS)
def test_every_order_is_given_in_every_phase(verb, phase):
    """Where the table of orders has it, it is admitted once; elsewhere it is refused."""
    seen = {admitted for order, where, admitted in ordered() if (order, where) == (verb, phase)}
    assert seen, f"no file gives {verb} in {phase}"
    narrower = {("promote", Phase.RUNNING), ("abort", Phase.ABORTING)}  # refused for its own reason
    if (verb, phase) not in narrower:
        assert (True in seen) is (phase in ORDERS[VERBS[verb]])


STATES = ("preparing", "shadow", "canary", "mixed", "mixed+pay", "primary", "checking")


@pytest.mark.parametrize("at", STATES)
def test_abort_is_given_at_every_point(at):
    """And the run ends by it."""
    ends = expects(phase="aborted")
    assert [f for f in FILES if f.at == at and has("order", "abort")(f) and ends(f)]


@pytest.mark.parametrize(
    "state", [has("order", "hold"), expects(reasons="blind:not-ready"), expects(closed=["hetzner"])]
)
def test_abort_is_given_in_every_plight(state):
    """Held, blind, with money closed."""
    aborts = both(has("order", "abort"), expects(phase="aborted"))
    assert [f for f in FILES if state(f) and aborts(f)]


# --- gates: fails, flaps, no data -------------------------------------------------------------

GOOD, BAD, NONE = "good", "bad", "none"


def readiness(step):
    match step.word, step.value:
        case "bad", _:
            return [BAD, GOOD]
        case "ready", "silent":
            return [NONE]
        case "ready", 200:
            return [GOOD]
        case ("ready", _) | ("health_ready", False):
            return [BAD]
    return []


def dependency(step):
    match step.word:
        case "canary":
            return [GOOD if one == "ok" else BAD for one in step.value]
        case "canary_paused":
            return [NONE]
    return []


def live_intents(step):
    if step.word != "live":
        return []
    return [{True: GOOD, False: BAD, None: NONE}[_known(one)] for one in step.value.values()]


def _known(one):
    return one if isinstance(one, bool) else None


def attestation(step):
    if step.word != "attestation":
        return []
    weak = step.details.get("evidence") == "reported"
    return [{"verified": BAD if weak else GOOD, "silent": NONE}.get(step.value, BAD)]


def told(file, gate):
    """What a gate's signal does in a file, as far as something is expected afterwards."""
    last = max(i for i, step in enumerate(file.steps) if step.expected)
    return [one for step in file.steps[:last] for one in gate(step)]


KINDS = {
    "fails": lambda seen: BAD in seen,
    "flaps": lambda seen: "".join(one[0] for one in seen).count("bg") >= 2,
    "no data": lambda seen: NONE in seen,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("gate", [readiness, dependency, live_intents, attestation])
def test_every_gate_fails_flaps_and_is_without_data(gate, kind):
    """In a file about the gates, with an expectation after it."""
    about = [f for f in FILES if f.clause == "Acceptance Gates"]
    assert [f.file for f in about if KINDS[kind](told(f, gate))]


# --- causes, downtime, crashes, the way back --------------------------------------------------


@pytest.mark.parametrize("n", [1, 2])
def test_a_cause_that_both_planes_share_is_shown_for_so_many_rounds(n):
    """One round, and enough in a row."""
    shared = [s for f in FILES for s in f.steps if s.word == "canary" and s.details.get("other")]
    assert [s for s in shared if s.value.count("false") >= n]
    assert [s for s in shared if s.value == ["false"]]


@pytest.mark.parametrize("stage", ["shadow", "canary", "mixed", "primary"])
def test_downtime_is_shown_in_every_soak(stage):
    """And what the soak is afterwards."""
    down = [f for f in FILES if f.at == stage and any(s.word == "restart" for s in f.steps)]
    assert [f for f in down if any("soak" in wants(s) for s in f.steps)]


@pytest.mark.parametrize("move", get_args(Move), ids=lambda move: move.__name__)
def test_a_crash_is_shown_after_every_move(move):
    """The last thing decided before the restart is this, and something is expected after it."""
    assert move is not Hold
    found = []
    for file in FILES:
        for before, step, *after in zip(file.steps, file.steps[1:], file.steps[2:], strict=False):
            moves = wants(before).get("moves") or [""]
            last = moves[-1] == move.__name__
            if step.word == "restart" and last and any(after):
                found.append(file.file)
    if move.__name__ == "Complete":
        return  # what is complete has no conductor left to crash
    assert found


def test_a_rollback_with_a_sick_fallback_and_day_seven_in_an_outage_are_shown():
    """The two cases that nobody rehearses."""
    sick = expects(reasons="sick:hetzner")
    assert [f for f in FILES if f.clause == "fallback unhealthy too" and sick(f)]
    assert [f for f in FILES if f.clause.startswith("Keep Hetzner fallback") and sick(f)]


@pytest.mark.parametrize("word", [*STEPS, "expect"])
def test_every_word_is_used(word):
    """A word that no file uses is one that nobody has seen work."""
    assert [f for f in FILES if any(step.word == word for step in f.steps)]


@pytest.mark.parametrize("word", EXPECTATIONS)
def test_every_expectation_is_used(word):
    """Likewise."""
    assert [f for f in FILES if any(word in wants(step) for step in f.steps)]
