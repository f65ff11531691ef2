"""Folds a gateway's report to a calm run in short: nothing failed, nothing went astray.

The node is the process that it was, with the table that it had, and only its counters grew.
See `brief` for what is promised, `traffic` for what is folded when it is otherwise.
"""

from typing import Final

import msgspec
from msgspec.structs import replace

from cutover.decision.calm import Calm
from cutover.decision.fact import Entry
from cutover.decision.run import NodeView, Run
from cutover.decision.split import within_band
from cutover.decision.traffic import GENERATIONS_KEPT, settled
from cutover.evidence.observation import GatewayReport
from cutover.evidence.outcome import FAILED, Count, Outcome
from cutover.runbook.intent import RISK_OF, Intent, Risk

_MONEY: Final = tuple(intent for intent in Intent if RISK_OF[intent] is Risk.MONEY)
_OK: Final = Outcome.OK  # a member is looked up slowly, these are compared millions of times
_DECLINED: Final = Outcome.DECLINED
_NOT_ROUTED: Final = (Outcome.SHED, Outcome.REFUSED)


class _Told(msgspec.Struct):
    """What a report adds to the node's counters and to the run; filled while it is read.

    Attributes:
        counts: the node's outcomes by cell, as they are after the report; likewise conversations.
        split: the split of the present generation, after the report.
        grown: a request was counted.
        answers: by the candidate under the stage's tables.
        paid: payments that the candidate carried out.
    """

    counts: dict[str, int]
    conversations: dict[str, int]
    split: dict[str, int]
    grown: bool = False
    answers: int = 0
    paid: int = 0


def report(calm: Calm, run: Run, entry: Entry, seen: GatewayReport) -> Run | None:
    """A report whose every new outcome is good and where the table says."""
    node = run.nodes.get(seen.node)
    if node is None or not _as_before(run, node, seen):
        return None
    told = _Told({**node.counts}, {**node.conversations}, {**run.split})
    if not _outcomes(calm, run, told, seen.counts):
        return None
    _conversations(calm, run, told, seen)
    if calm.partial and not _as_shared(calm, told.split):
        return None
    node = replace(
        node,
        seen_seq=entry.seq,
        detail="",
        in_flight=seen.in_flight,
        money_in_flight=seen.money_in_flight,
        counts=told.counts,
        conversations=told.conversations,
    )
    return _counted(calm, run, entry, told, {**run.nodes, seen.node: node})


def _as_before(run: Run, node: NodeView, seen: GatewayReport) -> bool:
    return (
        node.boot == seen.boot
        and node.generation == seen.generation
        and node.term == seen.term
        and node.confirmed
        and node.refused_generation == seen.refused_generation
        and node.refused == seen.refused
        and node.lost == seen.lost
        and node.keys_match is seen.keys_match
        and node.pruned == run.generation
    )


def _outcomes(calm: Calm, run: Run, told: _Told, counts: tuple[Count, ...]) -> bool:
    """Read the outcomes; False at the first that the candidate failed, or that went astray."""
    present, candidate, split, known = run.generation, calm.candidate, told.split, told.counts
    oldest = present - GENERATIONS_KEPT
    for count in counts:
        of, outcome = count.generation, count.outcome
        if of <= oldest:
            continue
        where = count.intent + "|" + count.plane
        cell = (calm.head if of == present else f"{of}|") + where + "|" + outcome
        before = known.get(cell, 0)
        added = count.n - before
        known[cell] = count.n if added > 0 else before
        if added <= 0:
            continue
        told.grown = True
        if count.plane == candidate and not _done(run, told, count, added):
            return False
        if of == present and outcome not in _NOT_ROUTED:
            if where in calm.astray:
                return False
            split[where] = split.get(where, 0) + added
    return True


def _done(run: Run, told: _Told, count: Count, added: int) -> bool:
    """Count what the candidate did; False when it is to blame for it."""
    outcome = count.outcome
    if outcome is _OK:
        if count.intent in _MONEY:
            told.paid += added
    elif outcome is not _DECLINED:
        return outcome not in FAILED
    if run.stage_generation <= count.generation <= run.generation:
        told.answers += added
    return True


def _conversations(calm: Calm, run: Run, told: _Told, seen: GatewayReport) -> None:
    present, known = run.generation, told.conversations
    for count in seen.conversations:
        of = count.generation
        if of <= present - GENERATIONS_KEPT:
            continue
        where = count.intent + "|" + count.plane
        cell = (calm.head if of == present else f"{of}|") + where
        before = known.get(cell, 0)
        known[cell] = max(count.n, before)
        if count.n > before and of == present:
            where += "|conversations"
            told.split[where] = told.split.get(where, 0) + count.n - before


def _as_shared(calm: Calm, split: dict[str, int]) -> bool:
    """Whether conversations still go where the partial shares say."""
    for share in calm.partial:
        there = split.get(share.there, 0) / calm.nodes
        n = there + split.get(share.elsewhere, 0) / calm.nodes
        if within_band(calm.runbook, there, n, share.bp) is not True:
            return False
    return True


def _counted(
    calm: Calm, run: Run, entry: Entry, told: _Told, nodes: dict[str, NodeView]
) -> Run | None:
    """The run after what was told; None when answers reach a bound."""
    soak = run.soak
    if told.answers:
        answers, clean = soak.answers + told.answers, soak.clean_answers + told.answers
        if answers >= calm.answers or clean >= calm.clean_answers:
            return None
        soak = replace(soak, answers=answers, clean_answers=clean)
    if told.paid:
        run = settled(calm.payments, run, entry, told.paid, 0)
    return replace(
        run,
        nodes=nodes,
        split=told.split,
        soak=soak,
        client_at=entry.at_ms if told.grown else run.client_at,
        seq=entry.seq,
        at=entry.at_ms,
    )
