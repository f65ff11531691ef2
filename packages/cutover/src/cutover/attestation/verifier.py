"""The pipeline: bundle, collateral and policy in, one verdict with every reason out.

All steps are evaluated, in the order of attestation §16; none hides a later one. A step that needs
what an earlier one could not give says so. No exception of a parser leaves this module as anything
but a reason, and a defect that does leave it is nobody's verdict.
"""

import hashlib
from typing import Final

from cutover.attestation import binding_steps, platform_steps, software_steps
from cutover.attestation.bundle import Asked, Bundle
from cutover.attestation.collateral import Collateral
from cutover.attestation.eventlog import BootFacts
from cutover.attestation.measurement import measured
from cutover.attestation.policy import Policy
from cutover.attestation.quote import Quote
from cutover.attestation.statement import Statement
from cutover.attestation.strict import canonical_json
from cutover.attestation.verdict import Verification, amounts_to
from cutover.evidence.observation import Verdict

EVIDENCE_SECONDS: Final = 900
"""How long a verdict without a policy says anything."""


def verify(
    bundle: Bundle, collateral: Collateral | None, policy: Policy | None, asked: Asked
) -> Verification:
    """Judge one bundle.

    Args:
        bundle: what the plane handed over, of any size and content.
        collateral: ours; None if there is none.
        policy: what must be proved. Without one only what was handed over is checked, each step
            that is left out says `not_asked`, and the verdict speaks of the quote alone: for a
            stranger's look, never for traffic.
        asked: moment, nonce, connection, root, and what was seen before.
    """
    roots, test_root = platform_steps.root(policy, asked)
    size, kept = platform_steps.sizes(bundle)
    form, quote, platform = platform_steps.quote_format(kept)
    papers = platform_steps.collateral_step(collateral, platform, policy, asked)
    signature, signed = platform_steps.signature(quote, platform, collateral, asked)
    tcb, grace = platform_steps.tcb(signed, policy, asked)
    stated, said = binding_steps.statement(kept, quote, policy, asked)
    fresh = binding_steps.nonce(said, policy, asked)
    log, facts = software_steps.event_log(kept, quote, policy)
    composed, genuine = software_steps.compose_hash(kept, facts, policy)
    image, first_use = software_steps.measurements(quote, policy)
    unread, keys = binding_steps.keys_of(kept)
    wallets, names = binding_steps.wallet_key(said, keys, facts, policy)
    reasons = (
        *roots, *size, *form, *platform_steps.clock(asked), *papers, *signature, *tcb,
        *stated, *fresh, *log, *composed,
        *software_steps.config_id(kept, quote, facts, policy),
        *software_steps.compose_policy(kept, genuine, policy),
        *software_steps.app_id(facts, said, policy),
        *software_steps.key_provider(facts, policy),
        *software_steps.instance(facts, said, policy),
        *image, *unread, *binding_steps.tls_key(said, keys, policy, asked), *wallets,
    )  # fmt: skip
    ends = [
        grace,
        asked.peer_ends,
        said.expires if said else None,
        platform.ends if platform else None,
    ]
    verdict = amounts_to(reasons)
    return Verification(
        verdict=verdict,
        checked_at=asked.now,
        deadline=_deadline(verdict, ends, collateral, policy, asked.now),
        reasons=reasons,
        tcb_status=signed.status if signed else "",
        advisory_ids=signed.advisory_ids if signed else (),
        measurements=measured(quote.report) if quote else None,
        compose_hash=facts.compose_hash.hex() if facts else "",
        app_id=facts.app_id.hex() if facts else "",
        instance_id=facts.instance_id.hex() if facts else "",
        tls_spki=said.tls_spki.hex() if said else "",
        wallet_keys=names,
        identity=_identity(signed is not None, facts, said, names, quote),
        evidence_id=quote.evidence_id() if quote else "",
        test_root=test_root,
        first_use=first_use,
    )


def _deadline(
    verdict: Verdict,
    ends: list[int | None],
    collateral: Collateral | None,
    policy: Policy | None,
    now: int,
) -> int:
    """The first moment at which some part of the verdict no longer holds."""
    if verdict not in {Verdict.VERIFIED, Verdict.DEGRADED} or collateral is None:
        return now
    lasts = EVIDENCE_SECONDS if policy is None else policy.limits.evidence
    moments = [now + lasts, collateral.ends, *(end for end in ends if end is not None)]
    if policy is not None:
        moments.append(collateral.issued + policy.limits.collateral)
    return max(now, min(moments))


def _identity(
    signed: bool,
    facts: BootFacts | None,
    said: Statement | None,
    wallets: tuple[str, ...],
    quote: Quote | None,
) -> str:
    """Changes with code, app, instance, boot, TLS key and wallet keys; empty while unproved."""
    if not signed or facts is None or quote is None:
        return ""
    parts = {
        "app": facts.app_id.hex(),
        "boot": quote.report.rt_mr3.hex(),
        "compose": facts.compose_hash.hex(),
        "instance": facts.instance_id.hex(),
        "tls": said.tls_spki.hex() if said else "",
        "wallets": list(wallets),
    }
    return f"tdx:{hashlib.sha256(canonical_json(parts)).hexdigest()}"
