"""The middle of the pipeline: which software runs there (attestation §16, 6-9).

Judged against the registers of the quote as read; they count because `quote_signature` compares the
same registers with those that were signed, and no verdict is `verified` without it.
"""

import hmac

from cutover.attestation.bundle import Bundle
from cutover.attestation.compose import compose_hash as hash_of
from cutover.attestation.compose import judge_compose
from cutover.attestation.eventlog import BootFacts, parse_event_log, read_facts, replay
from cutover.attestation.measurement import ConfigId, judge_config_id, judge_image
from cutover.attestation.policy import Policy
from cutover.attestation.quote import Quote
from cutover.attestation.statement import Statement
from cutover.attestation.strict import MalformedError
from cutover.attestation.verdict import (
    Reason,
    Step,
    absent,
    failed,
    not_asked,
    not_judged,
    passed,
)


def event_log(
    bundle: Bundle, quote: Quote | None, policy: Policy | None
) -> tuple[list[Reason], BootFacts | None]:
    """Does the log lead to the quote's registers, and what does it say."""
    step = Step.EVENT_LOG
    if bundle.event_log is None:
        what = "the event log"
        return [not_asked(step, "no event log") if policy is None else absent(step, what)], None
    if quote is None:
        return [not_judged(step, Step.QUOTE_FORMAT, "no registers")], None
    code = "malformed"
    try:
        log = parse_event_log(bundle.event_log)
        code = "replay"
        covered = replay(log, quote.report)
        code = "claims"
        facts = read_facts(log, None if policy is None else policy.app_events)
    except MalformedError as error:
        return [failed(step, code, error.seen, error.expected)], None
    registers = ", ".join(f"RTMR{index}" for index in covered)
    more = f"; application events: {', '.join(facts.application)}" if facts.application else ""
    return [passed(step, "replayed", f"{registers} replay to the quote's{more}")], facts


def compose_hash(
    bundle: Bundle, facts: BootFacts | None, policy: Policy | None
) -> tuple[list[Reason], bool]:
    """Are the compose bytes those that were measured, and allowed; True if they were measured."""
    step, raw = Step.COMPOSE_HASH, bundle.app_compose
    reasons, genuine = [], False
    if facts is not None and policy is not None:
        reasons.append(_allowed(facts.compose_hash, policy))
    if raw is None:
        reasons.append(not_asked(step, "no file") if policy is None else absent(step, "the file"))
    elif facts is None:
        reasons.append(not_judged(step, Step.EVENT_LOG, "no measured compose-hash"))
    else:
        found = hash_of(raw)
        genuine = hmac.compare_digest(found, facts.compose_hash)
        if genuine:
            reasons.append(passed(step, "measured", f"the file hashes to {found.hex()}"))
        else:
            expected = f"{facts.compose_hash.hex()}, as measured; no byte may be re-written"
            reasons.append(failed(step, "other_file", f"hash {found.hex()}", expected))
    return reasons, genuine


def _allowed(digest: bytes, policy: Policy) -> Reason:
    if digest in policy.compose_hashes:
        return passed(Step.COMPOSE_HASH, "allowed", digest.hex())
    wanted = ", ".join(sorted(one.hex() for one in policy.compose_hashes))
    return failed(Step.COMPOSE_HASH, "not_allowed", digest.hex(), f"one of {wanted}")


def config_id(
    bundle: Bundle, quote: Quote | None, facts: BootFacts | None, policy: Policy | None
) -> list[Reason]:
    """Does the machine monitor's own value agree."""
    step = Step.MR_CONFIG_ID
    if policy is None and bundle.event_log is None:
        return [not_asked(step, "no event log to compare it with")]
    if quote is None or facts is None:
        return [not_judged(step, Step.EVENT_LOG, "nothing to compare it with")]
    asked = ConfigId.WHEN_SET if policy is None else policy.config_id
    return [judge_config_id(quote.report, facts, asked)]


def compose_policy(bundle: Bundle, genuine: bool, policy: Policy | None) -> list[Reason]:
    """Is what runs what the policy allows; only bytes that were measured are read."""
    step = Step.COMPOSE_POLICY
    if policy is None:
        return [not_asked(step, "no policy")]
    if bundle.app_compose is None or not genuine:
        return [not_judged(step, Step.COMPOSE_HASH, "no measured file")]
    return list(judge_compose(bundle.app_compose, policy.compose))


def app_id(
    facts: BootFacts | None, statement: Statement | None, policy: Policy | None
) -> list[Reason]:
    """Is it our app, by log, policy and statement."""
    step = Step.APP_ID
    reasons = []
    if policy is None and facts is None:
        return [not_asked(step, "no policy")]
    if facts is None:
        return [not_judged(step, Step.EVENT_LOG, "no measured app-id")]
    wanted = [("statement", statement.app)] if statement is not None else []
    if policy is not None:
        wanted.append(("policy", policy.app_id))
    for source, value in wanted:
        if not hmac.compare_digest(facts.app_id, value):
            expected = f"{value.hex()}, by the {source}"
            reasons.append(failed(step, f"not_by_{source}", facts.app_id.hex(), expected))
    if reasons:
        return reasons
    if policy is None:
        return [not_asked(step, f"no policy; measured {facts.app_id.hex()}")]
    return [passed(step, "ours", facts.app_id.hex())]


def key_provider(facts: BootFacts | None, policy: Policy | None) -> list[Reason]:
    """Do keys come from the pinned provider."""
    step = Step.KEY_PROVIDER
    if policy is None:
        return [not_asked(step, "no policy")]
    if facts is None:
        return [not_judged(step, Step.EVENT_LOG, "no measured key provider")]
    wanted = policy.key_provider
    reasons = []
    if facts.provider != wanted.name:
        reasons.append(failed(step, "other_kind", facts.provider[:40], wanted.name))
    if not hmac.compare_digest(facts.provider_id, wanted.id):
        seen = facts.provider_id.hex()[-32:] or "no id"
        reasons.append(failed(step, "other_id", f"id …{seen}", f"id …{wanted.id.hex()[-32:]}"))
    return reasons or [passed(step, "pinned", f"{wanted.name} …{wanted.id.hex()[-32:]}")]


def instance(
    facts: BootFacts | None, statement: Statement | None, policy: Policy | None
) -> list[Reason]:
    """Is it the instance that it says, and one that we know."""
    step = Step.INSTANCE
    if facts is None:
        if policy is None:
            return [not_asked(step, "no policy")]
        return [not_judged(step, Step.EVENT_LOG, "no measured instance-id")]
    seen = facts.instance_id.hex() or "no id"
    if statement is not None and not hmac.compare_digest(facts.instance_id, statement.instance):
        expected = f"{statement.instance.hex()}, by the statement"
        return [failed(step, "not_by_statement", seen, expected)]
    if policy is None:
        return [not_asked(step, f"no policy; measured {seen}")]
    if policy.instances and facts.instance_id not in policy.instances:
        wanted = ", ".join(sorted(one.hex() for one in policy.instances))
        return [failed(step, "unknown", seen, f"one of {wanted}")]
    return [passed(step, "known" if policy.instances else "any", seen)]


def measurements(quote: Quote | None, policy: Policy | None) -> tuple[list[Reason], bool]:
    """Are image and machine size known; True if only first use vouches for them."""
    step = Step.MEASUREMENTS
    if policy is None:
        return [not_asked(step, "no policy")], False
    if quote is None:
        return [not_judged(step, Step.QUOTE_FORMAT, "no registers")], False
    return judge_image(quote.report, policy.images)
