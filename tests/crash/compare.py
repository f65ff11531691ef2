"""Whether a run in which processes died came to the same as the one in which nobody did.

One function a promise; each returns what is wrong in sentences, none when it is kept. What a
restart legitimately adds is named where it is allowed for, and nothing else is.
"""

from crash.clients import TEXTS
from crash.outcome import OURS
from cutover.decision.run import Phase
from cutover.evidence.observation import (
    Adopted,
    GatewayReport,
    LiveIntent,
    PostCheckSeen,
    Started,
    Stopped,
)
from cutover.evidence.outcome import Outcome
from cutover.runbook.gate import PostCheckName
from cutover.runbook.intent import Intent

UNCRASHED = (
    "OpenStage shadow",
    "OpenStage canary",
    "OpenStage mixed",
    "UnlockIntent mixed pay",
    "OpenStage primary",
    "BeginChecks",
    "Complete",
)
"""The moves of the uncrashed run; `test_matrix` plays it and holds this to it."""

PAYS = {text for text in TEXTS if text.startswith("pay ")}
PRECAUTIONS = ("CloseMoney", "ReopenMoney")
"""A conductor that starts admits no money on the candidate until it has seen it afresh."""


def differences(seen, crashes):
    """Everything in which an outcome differs from the uncrashed run's; empty when in nothing."""
    promises = (
        crashed, same_moves, starts, answered, executed_once, owned_up, paid_as_journaled, sound,
        in_force,
    )  # fmt: skip
    return [f"{p.__name__}: {wrong}" for p in promises for wrong in p(seen, crashes)]


def crashed(seen, crashes):
    """Who was to die has died, once a crash, and nobody else."""
    expected = sorted(crash.victim for crash in crashes)
    if sorted(seen.died) != expected:
        yield f"killed were {sorted(seen.died)}, expected {expected}"


def same_moves(seen, crashes):
    """The same stages and decisions in the same order; precautions come in pairs."""
    moves = seen.moves()
    if tuple(m for m in moves if m not in PRECAUTIONS) != UNCRASHED:
        yield f"the moves are {moves}, expected {list(UNCRASHED)}"
    precautions = [m for m in moves if m in PRECAUTIONS]
    pairs = len(precautions) // 2
    if precautions != [*PRECAUTIONS] * pairs or pairs > len(crashes):
        yield f"the precautions are {precautions}, expected at most {len(crashes)} pairs"
    if seen.run.phase is not Phase.COMPLETE or seen.run.closed:
        yield f"it ends {seen.run.phase} with money closed on {seen.run.closed}"


def starts(seen, crashes):
    """One run, adopted once; terms without a gap, one a start; a `Stopped` closes."""
    terms = [fact.term for fact in seen.facts(Started)]
    most = 1 + sum(crash.victim == "conductor" for crash in crashes)
    if terms != list(range(1, len(terms) + 1)) or not 0 < len(terms) <= most:
        yield f"the terms are {terms}, expected 1 to at most {most}"
    if len(seen.facts(Adopted)) != 1:
        yield f"{len(seen.facts(Adopted))} runs were adopted, expected one"
    if not isinstance(seen.entries[-1].fact, Stopped):
        yield f"the last entry is {seen.entries[-1].fact}, expected Stopped"


def answered(seen, crashes):
    """Every request is answered, but for what a killed gateway process had in hand: one each.

    One more may wait at the socket that goes with a supervisor, and is never looked at. While money
    is closed a payment is answered too: that it was not sent.
    """
    refused = "CloseMoney" in seen.moves()
    in_hand = sum(crash.victim != "conductor" for crash in crashes)
    waiting = sum(crash.victim == "gateway" for crash in crashes)
    cut = [a for a in seen.asked if a.status is None]
    told = {executed.key for executed in seen.executed}
    if len(cut) > in_hand + waiting or len([a for a in cut if a.key in told]) > in_hand:
        yield f"{len(cut)} requests have no answer, expected {in_hand} in hand: {cut[:3]}"
    for asked in seen.asked:
        paused = (asked.status, asked.code) == (503, "payments_paused")
        if asked.status in (200, None) or (paused and refused and asked.text.startswith("pay ")):
            continue
        yield f"{asked}, expected 200"


def executed_once(seen, crashes):
    """What was answered was executed, once, on one plane; what was not, at most once."""
    times = {}
    for told in seen.executed:
        if not told.key.startswith(OURS):
            times.setdefault(told.key, []).append(told)
    for asked in seen.asked:
        told = times.get(asked.key, [])
        fewest = 1 if asked.status == 200 else 0
        most = 1 if asked.status in (200, None) else 0
        if not fewest <= len(told) <= most:
            yield f"{asked} was executed {len(told)} times: {told}"
    for key, times_paid in seen.paid().items():
        if times_paid != 1:
            yield f"{times_paid} payments under the key {key!r}, expected one"


def owned_up(seen, crashes):
    """A payment that the candidate made and a worker could not tell of is one of unknown end."""
    made = {told.key for told in seen.executed if told.plane == "phala" and told.text in PAYS}
    cut = [a for a in seen.asked if a.status is None and a.key in made]
    unknown = [
        count
        for report in seen.facts(GatewayReport)
        for count in report.counts
        if (count.plane, count.intent, count.outcome) == ("phala", Intent.PAY, Outcome.UNKNOWN)
    ]
    if cut and not unknown and all(crash.victim == "worker" for crash in crashes):
        yield f"{cut} was made on the candidate, and the journal has no payment of unknown end"


def paid_as_journaled(seen, crashes):
    """The conductor has made the payments that its journal tells of, and no other.

    A payment that was made and not journaled is asked for again under its key; then the plane
    answers as before, and nothing is paid.
    """
    made = sorted(key for key in seen.paid() if key.startswith(OURS))
    lives = [f for f in seen.facts(LiveIntent) if f.intent is Intent.PAY and f.ok]
    checks = [f for f in seen.facts(PostCheckSeen) if f.name is PostCheckName.RECEIPT_TRANSACTION]
    told = len(lives) + len([f for f in checks if f.ok])
    if len(made) != told:
        yield f"{len(made)} payments were made under {made}, the journal tells of {told}"
    if len(checks) != 1:
        yield f"{len(checks)} payments for the receipt, expected one"
    on = {told.plane for told in seen.executed if told.key.startswith("live-")}
    if on != {"phala"}:
        yield f"live intents were executed on {on}, expected the candidate"


def sound(seen, crashes):
    """Chain and archive verify; today's code decides as the journal says."""
    yield from seen.verified
    if seen.divergence:
        yield seen.divergence


def in_force(seen, crashes):
    """Disk and workers of the node have the table of the run's last decision."""
    if seen.kept != seen.due:
        yield f"on the node's disk is {seen.kept}, expected {seen.due}"
    if seen.served != str(seen.run.generation):
        yield f"clients are served by generation {seen.served}, expected {seen.run.generation}"
