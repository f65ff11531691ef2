"""Folds what gateway nodes report: tables in force, outcomes, the split.

Counters are cumulative per boot of a node, so a report that is lost, repeated or overtaken
changes nothing: only the difference to the last known value counts.
"""

from collections.abc import Iterator

from msgspec.structs import replace

from cutover.decision.fact import Entry
from cutover.decision.run import NodeView, Payments, Run
from cutover.decision.soak import critical
from cutover.evidence.observation import GatewayReport, GatewaySilent
from cutover.evidence.outcome import ANSWERED, FAILED, SETTLED_FAILED, Count, Outcome
from cutover.runbook.document import Runbook
from cutover.runbook.intent import RISK_OF, Risk
from cutover.runbook.rollback import PaymentsFailed
from cutover.runbook.stage import Critical

GENERATIONS_KEPT = 16
"""A gateway's counters hold this many generations; older ones can no longer change."""

BOOTS_KEPT = 8
"""Replaced processes of a node that are remembered, so that a late report is known as one."""

_SLICES = 360
"""Steps in which the payment window moves; a slice leaves when its newest payment is too old."""


def report(runbook: Runbook, run: Run, entry: Entry, seen: GatewayReport) -> Run:
    """Fold one node's report."""
    known = run.nodes.get(seen.node)
    if known is not None and seen.boot in known.retired:
        return run  # the last words of a process that was replaced: late, and counted by nobody
    before = _before(known, entry, seen)
    fresh = list(_increments(run, before, seen))
    node = replace(
        before,
        seen_seq=entry.seq,
        confirmed=True,
        detail="",
        term=seen.term,
        generation=seen.generation,
        refused_generation=seen.refused_generation,
        refused=seen.refused,
        in_flight=seen.in_flight,
        lost=seen.lost,
        keys_match=seen.keys_match,
        counts=_merged(run, before.counts, {_key(c): c.n for c in seen.counts}),
        conversations=_merged(
            run,
            before.conversations,
            {f"{c.generation}|{c.intent}|{c.plane}": c.n for c in seen.conversations},
        ),
    )
    run = _lost(runbook, replace(run, nodes={**run.nodes, seen.node: node}), entry, before, node)
    for count, added in fresh:
        run = _count(runbook, run, entry, count, added)
    return replace(run, split=_split(run))


def silent(run: Run, entry: Entry, seen: GatewaySilent) -> Run:
    """Fold the absence of a node's reports."""
    node = run.nodes.get(seen.node)
    if node is None:
        return run
    gone = replace(node, confirmed=False, detail=seen.detail, seen_seq=entry.seq)
    return replace(run, nodes={**run.nodes, seen.node: gone})


def _before(known: NodeView | None, entry: Entry, seen: GatewayReport) -> NodeView:
    """What is known of this process of the node; nothing when it is a new one."""
    if known is None:
        return NodeView(boot=seen.boot, seen_seq=entry.seq)
    if known.boot == seen.boot:
        return known
    retired = (*known.retired, known.boot)[-BOOTS_KEPT:]
    return NodeView(boot=seen.boot, seen_seq=entry.seq, retired=retired)


def _lost(runbook: Runbook, run: Run, entry: Entry, before: NodeView, node: NodeView) -> Run:
    """An outcome that nobody recorded may have been the worst one: unknown is never healthy."""
    lost = node.lost - before.lost
    if lost <= 0:
        return run
    run = replace(run, soak=replace(run.soak, failed=run.soak.failed + lost))
    text = f"{lost} outcomes could not be recorded by a gateway"
    return critical(runbook, run, entry, Critical.ANSWER_UNKNOWN, text)


def _key(count: Count) -> str:
    return f"{count.generation}|{count.intent}|{count.plane}|{count.outcome}"


def _merged(run: Run, old: dict[str, int], new: dict[str, int]) -> dict[str, int]:
    """Newest cumulative values, without generations that can no longer change."""
    oldest = run.generation - GENERATIONS_KEPT
    both = {**old, **{key: max(n, old.get(key, 0)) for key, n in new.items()}}
    return {key: n for key, n in both.items() if int(key.split("|", 1)[0]) > oldest}


def _increments(run: Run, node: NodeView, seen: GatewayReport) -> Iterator[tuple[Count, int]]:
    for count in seen.counts:
        if count.generation > run.generation - GENERATIONS_KEPT:
            added = count.n - node.counts.get(_key(count), 0)
            if added > 0:
                yield count, added


def _count(runbook: Runbook, run: Run, entry: Entry, count: Count, added: int) -> Run:
    run = replace(run, client_at=entry.at_ms)
    if count.plane != runbook.candidate:
        return run
    if RISK_OF[count.intent] is Risk.MONEY:
        run = _payment(runbook, run, entry, count, added)
    if not run.stage_generation <= count.generation <= run.generation:
        return run  # routed by an earlier stage, or by nobody we know: it never counts for this one
    soak = run.soak
    if count.outcome in ANSWERED - FAILED:
        soak = replace(soak, answers=soak.answers + added, clean_answers=soak.clean_answers + added)
    if count.outcome in FAILED:
        soak = replace(soak, failed=soak.failed + added)
    run = replace(run, soak=soak)
    kind = _critical(count)
    if kind is None:
        return run
    return critical(runbook, run, entry, kind, f"{added} {count.intent} ended {count.outcome}")


def _critical(count: Count) -> Critical | None:
    match count.outcome:
        case Outcome.SERVER_ERROR:
            return Critical.ANSWER_5XX
        case Outcome.UNKNOWN | Outcome.TIMEOUT_UNKNOWN:
            return Critical.ANSWER_UNKNOWN
        case Outcome.NOT_SENT:
            return Critical.NOT_SENT
        case Outcome.BUSINESS_FAILED if RISK_OF[count.intent] is Risk.MONEY:
            return Critical.PAYMENT_FAILED
        case _:
            return None


def _payment(runbook: Runbook, run: Run, entry: Entry, count: Count, added: int) -> Run:
    failed = added if count.outcome in SETTLED_FAILED else 0
    settled = failed or (added if count.outcome is Outcome.OK else 0)
    if not settled:
        return run
    rule = next(c for c in runbook.conditions if isinstance(c, PaymentsFailed))
    new = Payments(entry.at_ms, settled, failed, entry.seq)
    kept = [p for p in run.payments if entry.at_ms - p.at < rule.window_ms]
    step = rule.window_ms // _SLICES
    if kept and new.at // max(1, step) == kept[-1].at // max(1, step):
        last = kept.pop()
        seq = new.seq if failed else last.seq
        new = Payments(new.at, last.settled + settled, last.failed + failed, seq)
    return replace(run, payments=(*kept, new))


def _split(run: Run) -> dict[str, int]:
    """Requests and conversations of the current generation, summed over the nodes."""
    split: dict[str, int] = {}
    for node in run.nodes.values():
        for key, n in node.counts.items():
            generation, intent, plane, outcome = key.split("|")
            if int(generation) == run.generation and outcome not in _NOT_ROUTED:
                split[f"{intent}|{plane}"] = split.get(f"{intent}|{plane}", 0) + n
        for key, n in node.conversations.items():
            generation, intent, plane = key.split("|")
            if int(generation) == run.generation:
                name = f"{intent}|{plane}|conversations"
                split[name] = split.get(name, 0) + n
    return split


_NOT_ROUTED = frozenset({Outcome.SHED.value, Outcome.REFUSED.value})
