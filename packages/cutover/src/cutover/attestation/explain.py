"""A verification for a reader who was not there: what is proved, what is not, what never can be."""

from collections.abc import Iterator
from typing import Final

from cutover.attestation.verdict import Outcome, Reason, Step, Verification

MEANS: Final = {
    Step.ROOT: "the chain of trust ends at Intel",
    Step.SIZE: "every part had a plausible size before anything was read",
    Step.QUOTE_FORMAT: "a TDX machine spoke, and its host cannot debug it",
    Step.CLOCK: "the moment of judgement was not before an earlier one",
    Step.COLLATERAL: "Intel's documents were in force and recent",
    Step.QUOTE_SIGNATURE: "a genuine, unrevoked Intel platform signed these registers",
    Step.TCB: "the platform's firmware and microcode are acceptable",
    Step.STATEMENT: "the machine itself bound plane, release, nonce and keys to the quote",
    Step.NONCE: "the answer was made for our question, just now",
    Step.EVENT_LOG: "the boot's story is the one that the registers recorded",
    Step.COMPOSE_HASH: "exactly these compose bytes were started",
    Step.MR_CONFIG_ID: "the machine monitor names the same code, without the event log's help",
    Step.COMPOSE_POLICY: "every image is pinned and nothing unexpected runs beside it",
    Step.APP_ID: "it is our app",
    Step.KEY_PROVIDER: "its keys come from the key service that we pinned",
    Step.INSTANCE: "it is the instance that it says",
    Step.MEASUREMENTS: "firmware, kernel and root file system are known ones",
    Step.TLS_KEY: "the endpoint that answered is the machine that proved itself",
    Step.WALLET_KEY: "its wallet keys were released to this app and are in its hands",
}
NEVER: Final = (
    "that the code is correct: only which code was started",
    "that the machine still runs it a moment later: a quote is one moment",
    "that its disk is not an older copy: data can be rolled back by the host",
    "that variables set from outside are genuine: they are not measured",
    "that nobody with hands on the machine attacks its memory bus or side channels",
)
_PROVED: Final = (Outcome.PASSED, Outcome.WARNED)


def report(found: Verification) -> list[str]:
    """The lines of the report."""
    return list(_lines(found))


def _lines(found: Verification) -> Iterator[str]:
    yield f"verdict: {found.verdict}, judged for {found.checked_at}, good until {found.deadline}"
    for mark in found.marks():
        yield f"MARK: {mark}"
    if found.tcb_status:
        advisories = ", ".join(found.advisory_ids) or "no advisory"
        yield f"platform: {found.tcb_status}, {advisories}"
    signed = found.holds(Step.QUOTE_SIGNATURE)
    if not signed:
        yield "NOTHING IS PROVED: no signature vouches for what follows"
    yield ""
    yield "proved" if signed else "consistent"
    yield from _part(found, _PROVED)
    yield ""
    yield "not proved"
    yield from _part(found, tuple(one for one in Outcome if one not in _PROVED))
    yield ""
    yield "what no quote can prove"
    yield from (f"  - {line}" for line in NEVER)


def _part(found: Verification, outcomes: tuple[Outcome, ...]) -> Iterator[str]:
    steps = [step for step in Step if _belongs(found.reasons, step, outcomes)]
    if not steps:
        yield "  (nothing)"
    for step in steps:
        yield f"  - {step}: {MEANS[step]}"
        for reason in found.reasons:
            if reason.step is step:
                wanted = f"; expected {reason.expected}" if reason.expected else ""
                yield f"      {reason.outcome}: {reason.seen}{wanted}"


def _belongs(reasons: tuple[Reason, ...], step: Step, outcomes: tuple[Outcome, ...]) -> bool:
    """A step belongs where its worst reason does: half a proof is none."""
    mine = [reason.outcome for reason in reasons if reason.step is step]
    worst = max(mine, key=list(Outcome).index, default=None)
    return worst in outcomes
