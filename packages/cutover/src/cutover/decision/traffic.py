"""Folds what gateway nodes report: tables in force, outcomes, the split.

Counters are cumulative per boot of a node, so a report that is lost, repeated or overtaken
changes nothing: only the difference to the last known value counts.
"""

from collections.abc import Iterable

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

_ANSWERED_WELL = ANSWERED - FAILED

RIVAL_MS = 30_000
"""Observed time in which a replaced process may still be heard; after that it is alive."""

FORGOTTEN_KEPT = 16
"""Nodes out of service whose counters are remembered, so that a return counts nothing twice."""


def report(runbook: Runbook, run: Run, entry: Entry, seen: GatewayReport) -> Run:
    """Fold one node's report."""
    known = run.nodes.get(seen.node)
    if known is not None and seen.boot in known.retired and not known.forgotten:
        return _late(run, entry, seen.node, known)
    run, before = _before(runbook, run, entry, known, seen)
    counts, conversations = _newest(seen)
    old = before.pruned != run.generation
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
        money_in_flight=seen.money_in_flight,
        lost=seen.lost,
        keys_match=seen.keys_match,
        counts=_merged(run, before.counts, {key: c.n for key, c in counts.items()}, prune=old),
        conversations=_merged(run, before.conversations, conversations, prune=old),
        pruned=run.generation,
    )
    run = _lost(runbook, replace(run, nodes={**run.nodes, seen.node: node}), entry, before, node)
    for key, count in counts.items():
        added = count.n - before.counts.get(key, 0)
        if added > 0 and count.generation > run.generation - GENERATIONS_KEPT:
            run = _count(runbook, run, entry, count, added)
    if known is not None and (known.boot != seen.boot or known.forgotten):
        return replace(run, split=whole_split(run.serving(), run.generation))
    return replace(run, split=_split(run, before, node, (*counts, *conversations)))


def _newest(seen: GatewayReport) -> tuple[dict[str, Count], dict[str, int]]:
    """What a report says of each cell, once; of one that it names twice, the larger."""
    counts: dict[str, Count] = {}
    for count in seen.counts:
        key = "|".join((str(count.generation), count.intent, count.plane, count.outcome))
        if key not in counts or counts[key].n < count.n:
            counts[key] = count
    conversations: dict[str, int] = {}
    for cell in seen.conversations:
        key = "|".join((str(cell.generation), cell.intent, cell.plane))
        conversations[key] = max(cell.n, conversations.get(key, 0))
    return counts, conversations


def silent(run: Run, entry: Entry, seen: GatewaySilent) -> Run:
    """Fold the absence of a node's reports."""
    node = run.nodes.get(seen.node)
    if node is None or node.forgotten:
        return run
    gone = replace(node, confirmed=False, detail=seen.detail, seen_seq=entry.seq)
    return replace(run, nodes={**run.nodes, seen.node: gone})


def forget(runbook: Runbook, run: Run, entry: Entry, name: str) -> Run:
    """Fold an operator's word that a node is out of service; its counters are kept for a return."""
    node = run.nodes[name]
    if not node.confirmed:
        run = _ended(runbook, run, entry, node)
    out = replace(
        node, forgotten=True, confirmed=False, rival=False, booted_at=entry.at_ms,
        seen_seq=entry.seq, in_flight=0, money_in_flight=0, detail="out of service",
    )  # fmt: skip
    nodes = {**run.nodes, name: out}
    gone = sorted((n.seen_seq, key) for key, n in nodes.items() if n.forgotten)
    for _, oldest in gone[:-FORGOTTEN_KEPT]:
        del nodes[oldest]
    run = replace(run, nodes=nodes)
    return replace(run, split=whole_split(run.serving(), run.generation))


def unaccounted(runbook: Runbook, run: Run, entry: Entry, requests: int, payments: int) -> Run:
    """Fold requests whose end nobody will tell: each may have been the worst one.

    Args:
        runbook: what is critical, and how long payments count.
        run: what is known.
        entry: that told of it.
        requests: all of them.
        payments: those of them that may have moved money on the candidate.
    """
    if not requests:
        return run
    run = replace(
        run,
        soak=replace(run.soak, failed=run.soak.failed + requests),
        unaccounted=run.unaccounted + payments,
    )
    if payments:
        run = settled(payments_rule(runbook), run, entry, payments, payments)
    text = f"nobody will tell how {requests} requests ended, {payments} of them payments"
    return critical(runbook, run, entry, Critical.ANSWER_UNKNOWN, text)


def _ended(runbook: Runbook, run: Run, entry: Entry, node: NodeView) -> Run:
    requests = max(node.in_flight, node.money_in_flight)
    return unaccounted(runbook, run, entry, requests, node.money_in_flight)


def _late(run: Run, entry: Entry, name: str, node: NodeView) -> Run:
    """A replaced process speaks: last words at first, later a second process under the name."""
    if node.rival or entry.at_ms - node.booted_at <= RIVAL_MS:
        return run
    return replace(run, nodes={**run.nodes, name: replace(node, rival=True)})


def _before(
    runbook: Runbook, run: Run, entry: Entry, known: NodeView | None, seen: GatewayReport
) -> tuple[Run, NodeView]:
    """What is known of this process of the node; nothing when it is a new one."""
    if known is None:
        return run, NodeView(boot=seen.boot, seen_seq=entry.seq)
    if known.boot == seen.boot:
        return run, replace(known, forgotten=False)
    run = _ended(runbook, run, entry, known)
    others = tuple(boot for boot in known.retired if boot != seen.boot)
    fresh = NodeView(
        boot=seen.boot,
        seen_seq=entry.seq,
        booted_at=entry.at_ms,
        rival=known.rival,
        retired=(*others, known.boot)[-BOOTS_KEPT:],
    )
    if len(others) == len(known.retired):
        return run, fresh
    return _resumed(runbook, run, entry, seen, fresh)


def _resumed(
    runbook: Runbook, run: Run, entry: Entry, seen: GatewayReport, fresh: NodeView
) -> tuple[Run, NodeView]:
    """Of two processes of one name the first is left: it counts from here, the rest is unknown."""
    counts, conversations = _newest(seen)
    text = "a gateway's replaced process goes on; what it did meanwhile was not counted"
    run = critical(runbook, run, entry, Critical.ANSWER_UNKNOWN, text)
    known = {key: count.n for key, count in counts.items()}
    return run, replace(fresh, counts=known, conversations=conversations, lost=seen.lost)


def _lost(runbook: Runbook, run: Run, entry: Entry, before: NodeView, node: NodeView) -> Run:
    """An outcome that nobody recorded may have been the worst one: unknown is never healthy."""
    lost = node.lost - before.lost
    if lost <= 0:
        return run
    run = replace(run, soak=replace(run.soak, failed=run.soak.failed + lost))
    text = f"{lost} outcomes could not be recorded by a gateway"
    return critical(runbook, run, entry, Critical.ANSWER_UNKNOWN, text)


def _merged(run: Run, old: dict[str, int], new: dict[str, int], *, prune: bool) -> dict[str, int]:
    """Newest cumulative values, without generations that can no longer change."""
    oldest = run.generation - GENERATIONS_KEPT
    young = {key: n for key, n in new.items() if _generation(key) > oldest}
    kept = {key: n for key, n in old.items() if _generation(key) > oldest} if prune else old
    return {**kept, **{key: max(n, kept.get(key, 0)) for key, n in young.items()}}


def _generation(key: str) -> int:
    return int(key.split("|", 1)[0])


def _count(runbook: Runbook, run: Run, entry: Entry, count: Count, added: int) -> Run:
    run = replace(run, client_at=entry.at_ms)
    if count.plane != runbook.candidate:
        return run
    if RISK_OF[count.intent] is Risk.MONEY:
        run = _payment(runbook, run, entry, count, added)
    if not run.stage_generation <= count.generation <= run.generation:
        return run  # routed by an earlier stage, or by nobody we know: it never counts for this one
    soak = run.soak
    if count.outcome in _ANSWERED_WELL:
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
    attempts = failed or (added if count.outcome is Outcome.OK else 0)
    if not attempts:
        return run
    return settled(payments_rule(runbook), run, entry, attempts, failed)


def payments_rule(runbook: Runbook) -> PaymentsFailed:
    """The rule about payments; the loader guarantees exactly one."""
    return next(c for c in runbook.conditions if isinstance(c, PaymentsFailed))


def settled(rule: PaymentsFailed, run: Run, entry: Entry, attempts: int, failed: int) -> Run:
    """The run after payments on the candidate that ended; slices are in the order of time."""
    kept, first = run.payments, 0
    while first < len(kept) and entry.at_ms - kept[first].at >= rule.window_ms:
        first += 1
    new = Payments(entry.at_ms, attempts, failed, entry.seq)
    step = max(1, rule.window_ms // _SLICES)
    if first == len(kept) or new.at // step != kept[-1].at // step:
        return replace(run, payments=kept[first:] + (new,))  # noqa: RUF005 - one copy less
    last = kept[-1]
    seq = new.seq if failed else last.seq
    new = Payments(new.at, last.settled + attempts, last.failed + failed, seq)
    return replace(run, payments=kept[first:-1] + (new,))  # noqa: RUF005 - one copy less


def whole_split(nodes: dict[str, NodeView], generation: int) -> dict[str, int]:
    """Requests and conversations of one generation, summed over the nodes from nothing."""
    split: dict[str, int] = {}
    for node in nodes.values():
        for key, n in (*node.counts.items(), *node.conversations.items()):
            if (cell := _cell(key, generation)) and n:
                split[cell] = split.get(cell, 0) + n
    return split


def _split(run: Run, before: NodeView, node: NodeView, told: Iterable[str]) -> dict[str, int]:
    """The split after one node's report: what is new of the present generation is added.

    It equals `whole_split` at every entry; counting it all again would cost with every report what
    all the nodes have ever told.
    """
    split = dict(run.split)
    for key in told:
        cell = _cell(key, run.generation)
        if cell:
            added = _told(node, key) - _told(before, key)
            if added:
                split[cell] = split.get(cell, 0) + added
    return split


def _told(node: NodeView, key: str) -> int:
    return node.counts.get(key, 0) + node.conversations.get(key, 0)


def _cell(key: str, generation: int) -> str:
    """Where a counter belongs in the split of a generation; empty when nowhere."""
    of, _, rest = key.partition("|")
    if of != str(generation):
        return ""
    intent, plane, *outcome = rest.split("|")
    if outcome and outcome[0] in _NOT_ROUTED:
        return ""
    return f"{intent}|{plane}" if outcome else f"{intent}|{plane}|conversations"


_NOT_ROUTED = frozenset({Outcome.SHED.value, Outcome.REFUSED.value})
