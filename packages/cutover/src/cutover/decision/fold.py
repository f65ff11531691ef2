"""`apply`: the run after one more journal entry. State is nothing but this fold.

Facts of planes and traffic are folded in `signals` and `traffic`; here are the conductor's own
comings and goings, the operator's orders, and the effects of decisions on what is known.
"""

from msgspec.structs import replace

from cutover.decision import attested, signals, traffic
from cutover.decision.command import (
    AbortOrder,
    Command,
    DisarmOrder,
    ForgetOrder,
    HoldOrder,
    PromoteOrder,
    ResumeOrder,
    RetryOrder,
    WaiveOrder,
)
from cutover.decision.fact import Entry
from cutover.decision.gates import weak
from cutover.decision.kinds import (
    AbortRun,
    BeginChecks,
    CloseMoney,
    Complete,
    Hold,
    Move,
    OpenStage,
    PinKey,
    ReopenMoney,
    Repin,
    Retry,
    Returned,
    RollBack,
    UnlockIntent,
)
from cutover.decision.run import (
    NEVER,
    CheckView,
    Disarmed,
    Held,
    Incident,
    LiveView,
    PlaneView,
    Run,
    Soaked,
)
from cutover.decision.split import in_force
from cutover.decision.transitions import after
from cutover.evidence.observation import (
    Adopted,
    Attestation,
    CanaryRound,
    GatewayReport,
    GatewaySilent,
    LiveIntent,
    OrderRefused,
    PostCheckSeen,
    PreconditionSeen,
    Readiness,
    Reference,
    Snapshot,
    Started,
    Stopped,
)
from cutover.runbook.document import Runbook
from cutover.runbook.gate import PostCheckName


def apply(runbook: Runbook, run: Run, entry: Entry) -> Run:
    """The run with one more entry folded in.

    Args:
        runbook: what was agreed; thresholds and cadences.
        run: what was known.
        entry: the next one; its number is one more than the run's.
    """
    run = _fold(runbook, run, entry)
    if run.awaited and run.awaited_from == NEVER and not in_force(run):
        run = replace(run, awaited_from=entry.at_ms, awaited_seq=entry.seq)
    return replace(run, seq=entry.seq, at=entry.at_ms)


def _fold(runbook: Runbook, run: Run, entry: Entry) -> Run:  # noqa: C901, PLR0912 - one case a kind of fact
    match entry.fact:
        case Readiness() as seen:
            return signals.readiness(runbook, run, entry, seen)
        case Reference() as seen:
            return signals.reference(run, entry, seen)
        case CanaryRound() as seen:
            return signals.canary(runbook, run, entry, seen)
        case Attestation() as seen:
            return attested.attestation(runbook, run, entry, seen)
        case GatewayReport() as seen:
            return traffic.report(runbook, run, entry, seen)
        case GatewaySilent() as seen:
            return traffic.silent(run, entry, seen)
        case LiveIntent() as seen:
            return _live(runbook, run, entry, seen)
        case PreconditionSeen() as seen:
            view = CheckView(entry.at_ms, entry.seq, seen.ok, seen.reasons)
            return replace(run, preconditions={**run.preconditions, seen.check: view})
        case PostCheckSeen() as seen:
            return _checked(run, entry, seen)
        case Started() as seen:
            return _started(run, seen)
        case Adopted() | Stopped() | Snapshot() | OrderRefused():
            return run
        case Hold() as decision:
            return _held(run, entry, decision)
        case (
            HoldOrder() | ResumeOrder() | PromoteOrder() | AbortOrder() | RetryOrder()
            | DisarmOrder() | WaiveOrder() | ForgetOrder()
        ) as order:  # fmt: skip
            return _ordered(runbook, run, entry, order)
        case move:
            return _moved(runbook, run, entry, move)


def _held(run: Run, entry: Entry, decision: Hold) -> Run:
    blind = any(reason.code.startswith("blind:") for reason in decision.reasons)
    began = entry.at_ms if run.blind_since == NEVER else run.blind_since
    return replace(run, reasons=decision.reasons, blind_since=began if blind else NEVER)


def _live(runbook: Runbook, run: Run, entry: Entry, seen: LiveIntent) -> Run:
    if seen.plane != runbook.candidate or signals.stranger(run, seen.plane, seen.identity):
        return run
    if seen.ok or seen.definite:
        tried = run.live_tries.get(seen.intent, 0) + 1
        run = replace(run, live_tries={**run.live_tries, seen.intent: tried})
    before = run.live.get(seen.intent)
    tries = 1 if before is None or before.ok else before.attempts + 1
    view = LiveView(entry.at_ms, entry.seq, seen.ok, tries, seen.reasons)
    return replace(run, live={**run.live, seen.intent: view})


def _checked(run: Run, entry: Entry, seen: PostCheckSeen) -> Run:
    view = CheckView(entry.at_ms, entry.seq, seen.ok, seen.reasons)
    paid = seen.name is PostCheckName.RECEIPT_TRANSACTION and (seen.ok or seen.definite)
    return replace(
        run,
        post_checks={**run.post_checks, seen.name: view},
        receipt_tries=run.receipt_tries + paid,
    )


def _started(run: Run, seen: Started) -> Run:
    """A new incarnation trusts no reading from before: what counts must be looked at again.

    Streaks, windows and the age of the last good verdict go on in observed time, so that the
    rollback rules do; soak does not count, and money is not admitted on the candidate, until it
    has been seen afresh: nobody knows what happened to it while nobody looked.
    """
    planes = {name: _unseen(view) for name, view in run.planes.items()}
    nodes = {
        name: replace(node, confirmed=False, detail="not heard since the conductor started")
        for name, node in run.nodes.items()
    }
    return replace(
        run,
        term=seen.term,
        boot=seen.boot,
        planes=planes,
        nodes=nodes,
        live={},
        reference_bad_at=NEVER,
        soak=replace(run.soak, mark=NEVER),
        awaited_from=NEVER,
        reasons=(),
    )


def _unseen(view: PlaneView) -> PlaneView:
    view = replace(view, ready_at=NEVER, canary_at=NEVER, verdict_at=NEVER, verdict_ends=None)
    return replace(view, asked_at=NEVER, trusted_at=NEVER, trusted_ends=None)


def _ordered(runbook: Runbook, run: Run, entry: Entry, order: Command) -> Run:
    said = Held(order.actor, order.reason, entry.seq)
    match order:
        case HoldOrder():
            return replace(run, hold=said)
        case ResumeOrder():
            return replace(run, hold=None)
        case PromoteOrder():
            return replace(run, promote=said, promote_expect=order.expect)
        case AbortOrder():
            return replace(run, abort=said)
        case RetryOrder():
            failed = {name: view for name, view in run.post_checks.items() if view.ok is True}
            judged = {name: view for name, view in run.preconditions.items() if view.ok is True}
            return replace(run, retry=said, live={}, post_checks=failed, preconditions=judged)
        case DisarmOrder():
            until = Disarmed(entry.at_ms + order.expires_ms, order.actor, order.reason, entry.seq)
            return replace(run, disarmed={**run.disarmed, order.rule: until})
        case ForgetOrder():
            return traffic.forget(runbook, run, entry, order.node)
        case WaiveOrder():
            return replace(run, waived={**run.waived, order.check: order.reason})


def _moved(runbook: Runbook, run: Run, entry: Entry, move: Move) -> Run:
    run = replace(run, phase=after(run.phase, move), reasons=())
    match move:
        case OpenStage():
            return _opened(runbook, _rerouted(runbook, run, entry))
        case UnlockIntent():
            run = _rerouted(runbook, _weakened(runbook, run), entry)
            unlocked = run.unlocked | {move.intent}
            return replace(run, unlocked=unlocked, live={}, awaited=move.intent, awaited_from=NEVER)
        case RollBack() | AbortRun():
            return _incident(_rerouted(runbook, run, entry), entry, move.rule)
        case Repin():
            return replace(_rerouted(runbook, run, entry), repinned=True)
        case CloseMoney() | ReopenMoney():
            closed = move.planes if isinstance(move, CloseMoney) else ()
            return replace(_rerouted(runbook, run, entry), closed=closed)
        case PinKey():
            return _rerouted(runbook, run, entry)
        case Returned():
            return _returned(runbook, run, entry, move)
        case Retry():
            return _again(run)
        case BeginChecks() | Complete():
            return _finishing(runbook, run, entry, move)


def _returned(runbook: Runbook, run: Run, entry: Entry, move: Returned) -> Run:
    closed = None
    if run.incident is not None:
        closed = replace(run.incident, closed_at=entry.at_ms, unaccounted=move.unaccounted)
    if waiting := move.unaccounted - run.unaccounted:
        run = traffic.unaccounted(runbook, run, entry, waiting, waiting)
    return replace(run, incident=closed, abort=None)


def _rerouted(runbook: Runbook, run: Run, entry: Entry) -> Run:
    """A move that changes routes makes a new generation; its split is counted from nothing.

    It is above every table that a node is known to have: a journal that was restored from a backup
    has lost generations, and no node would take one of them again. Whatever the move is about, its
    table names the key that the candidate has proved by now.
    """
    highest = max((node.generation for node in run.nodes.values()), default=0)
    generation = max(run.generation, highest) + 1
    return replace(
        run,
        generation=generation,
        generation_at=entry.at_ms,
        pinned=run.plane(runbook.candidate).tls_spki,
        split=traffic.whole_split(run.serving(), generation),
        soak=replace(run.soak, mark=NEVER),
    )


def _weakened(runbook: Runbook, run: Run) -> Run:
    return replace(run, weak=run.weak or weak(runbook, run))


def _opened(runbook: Runbook, run: Run) -> Run:
    stage = run.stage + 1
    if stage > 0:
        run = _weakened(runbook, run)
    opened = runbook.stages[stage]
    return replace(
        run,
        stage=stage,
        awaited=opened.name if opened.exposed else "",
        awaited_from=NEVER,
        stage_generation=run.generation,
        unlocked=frozenset(),
        soak=Soaked(),
        live={},
        live_tries={},
        receipt_tries=0,
        promote=None,
        promote_expect="",
    )


def _finishing(runbook: Runbook, run: Run, entry: Entry, move: BeginChecks | Complete) -> Run:
    if isinstance(move, Complete):
        # Its table is another one, that needs no conductor any more; its routes are the same, and
        # as nobody will count by it, the split that was judged last goes on being shown.
        run = replace(_rerouted(runbook, run, entry), split=run.split)
    return replace(run, promote=None, live={})


def _incident(run: Run, entry: Entry, rule: str) -> Run:
    incident = Incident(rule, entry.at_ms, entry.seq)
    run = replace(run, incident=incident, incidents=run.incidents + 1, retry=None, promote=None)
    return replace(run, awaited="", awaited_from=NEVER)


def _again(run: Run) -> Run:
    """Begin with the first stage; what was concluded about the candidate is asked again."""
    return replace(
        run,
        retry=None,
        stage=-1,
        unlocked=frozenset(),
        repinned=False,
        unaccounted=0,
        payments=(),
        preconditions={},
        waived={},
        post_checks={},
        live={},
        soak=Soaked(),
        planes={name: _forgotten(view) for name, view in run.planes.items()},
    )


def _forgotten(view: PlaneView) -> PlaneView:
    fresh = replace(_unseen(view), canary_false=0, canary_ok=None, verdict=None, tls_spki="")
    fresh = replace(fresh, good_at=NEVER, good_ends=None, good_seq=0)
    return replace(fresh, attested_at=NEVER, attested_ends=None)
