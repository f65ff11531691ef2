"""Whether the table is in force everywhere, and whether the traffic really splits as it says.

A share is of conversations, so it is judged over distinct conversation buckets, never over
requests (one chatty client would move the figure). A conversation may reach every node, so the
number of independent conversations is taken as the mean over the nodes. Shares of nothing and of
everything are exact: one request on the wrong plane refutes them.
"""

from math import sqrt

import msgspec

from cutover.decision.run import Run
from cutover.runbook.document import Runbook
from cutover.runbook.intent import LEADING, Intent
from cutover.runbook.stage import ALL_BP


class SplitFinding(msgspec.Struct, frozen=True):
    """The observed split against the table.

    Attributes:
        ok: True or False, None while there is too little traffic to judge.
        text: what was seen and expected.
        shares: per leading intent, candidate's share of requests in basis points, and requests.
    """

    ok: bool | None
    text: str
    shares: dict[Intent, tuple[int, int]]


def in_force(run: Run) -> str:
    """Why the current table is not in force on every gateway node; empty when it is."""
    nodes = run.serving()
    if not nodes:
        return "no gateway node has reported yet"
    for name, node in nodes.items():
        if node.rival:
            return f"two processes report as {name}; give each its own name, then `forget {name}`"
        if node.refused_generation == run.generation and node.refused:
            return f"gateway {name} refused table {run.generation}: {node.refused}"
        if not node.confirmed:
            return f"gateway {name} is silent{f': {node.detail}' if node.detail else ''}"
        if (node.generation, node.term) != (run.generation, max(1, run.term)):
            return (
                f"gateway {name} has table {node.generation} of term {node.term} in force, "
                f"table {run.generation} of term {max(1, run.term)} is expected"
            )
        if node.keys_match is False:
            return f"gateway {name} holds other plane keys than the conductor"
    return ""


def table_share_bp(runbook: Runbook, run: Run, intent: Intent) -> int:
    """Candidate's share of an intent in the table that should be in force, basis points."""
    if run.stage < 0 or returned(run):
        return 0
    if run.repinned and runbook.leading(intent) is Intent.PAY:
        return 0
    return runbook.share_bp(run.stage, run.unlocked, intent)


def returned(run: Run) -> bool:
    """Whether the run has given, or gives, everything back to the fallback."""
    return run.phase in ("rolling_back", "rolled_back", "aborting", "aborted", "preparing")


def judge_split(runbook: Runbook, run: Run) -> SplitFinding:
    """Compare what the nodes counted under the current generation with its table."""
    verdicts: list[tuple[bool | None, str]] = []
    shares: dict[Intent, tuple[int, int]] = {}
    table = {intent: table_share_bp(runbook, run, intent) for intent in LEADING}
    for intent in LEADING:
        there, total = seen = _requests(runbook, run, intent)
        shares[intent] = (there * ALL_BP // total if total else 0, total)
        verdicts.append(_judge(runbook, run, intent, table[intent], seen))
    for intent, lead in runbook.follows.items():
        if table[lead] in (0, ALL_BP):  # some of them may move money; parts are judged by the lead
            seen = _requests(runbook, run, intent)
            verdicts.append(_judge(runbook, run, intent, table[lead], seen))
    said = [verdict for verdict, _ in verdicts]
    ok = False if False in said else None if None in said else True
    worst = [text for v, text in verdicts if v is ok and text]
    return SplitFinding(ok, worst[0] if worst else "as the table says", shares)


def _requests(runbook: Runbook, run: Run, intent: Intent) -> tuple[int, int]:
    """Requests of an intent on the candidate, and altogether."""
    of = intent + "|"
    there = run.split.get(of + runbook.candidate, 0)
    return there, there + run.split.get(of + runbook.fallback, 0)


def _judge(
    runbook: Runbook, run: Run, intent: Intent, share: int, requests: tuple[int, int]
) -> tuple[bool | None, str]:
    if 0 < share < ALL_BP:
        return _band(runbook, run, intent, share)
    there, total = requests
    astray, plane = (there, runbook.candidate) if share == 0 else (total - there, runbook.fallback)
    if not astray:
        return True, ""
    return False, f"{astray} of {total} {intent} requests on {plane}, expected none"


def _band(runbook: Runbook, run: Run, intent: Intent, share: int) -> tuple[bool | None, str]:
    nodes = max(1, len(run.serving()))
    there = run.split.get(f"{intent}|{runbook.candidate}|conversations", 0) / nodes
    n = there + run.split.get(f"{intent}|{runbook.fallback}|conversations", 0) / nodes
    need = runbook.split.min_conversations
    if n < need:
        return None, f"{n:.0f} {intent} conversations seen, {need} are needed to judge the share"
    text = (
        f"{there / n:.1%} of {n:.0f} {intent} conversations on {runbook.candidate}, "
        f"expected {share / ALL_BP:.1%} ± {_width(runbook, n, share):.1%}"
    )
    return within_band(runbook, there, n, share), text


def within_band(runbook: Runbook, there: float, n: float, share: int) -> bool | None:
    """Whether so many of `n` conversations may be on the candidate; None while n is too few."""
    if n < runbook.split.min_conversations:
        return None
    return abs(there / n - share / ALL_BP) <= _width(runbook, n, share)


def _width(runbook: Runbook, n: float, share: int) -> float:
    p = share / ALL_BP
    return runbook.split.sigmas * sqrt(p * (1 - p) / n) + 1 / n
