"""The first half of the pipeline: a genuine, current TDX machine (attestation §16, 1-4).

Every function judges one step and gives its reasons, with the value that later steps need or None.
"""

import hashlib

from cutover.attestation import dcap
from cutover.attestation.bundle import Asked, Bundle
from cutover.attestation.collateral import Collateral, root_sha256
from cutover.attestation.limits import (
    COMPOSE_BYTES_MAX,
    EVENT_LOG_BYTES_MAX,
    KEYS_BYTES_MAX,
    QUOTE_BYTES_MAX,
    STATEMENT_BYTES_MAX,
)
from cutover.attestation.policy import STRICT_TCB, Policy
from cutover.attestation.quote import Quote, judge_format, parse_quote
from cutover.attestation.strict import MalformedError
from cutover.attestation.tcb import judge_tcb
from cutover.attestation.verdict import (
    Outcome,
    Reason,
    Step,
    absent,
    failed,
    not_judged,
    passed,
)


def root(policy: Policy | None, asked: Asked) -> tuple[list[Reason], bool]:
    """Whose root; True beside the reasons for one that is not Intel's."""
    step = Step.ROOT
    if asked.root is None:
        return [passed(step, "intel", "Intel's root")], False
    try:
        name = root_sha256(asked.root)
    except MalformedError as error:
        return [failed(step, "unreadable", error.seen, error.expected)], True
    if name == dcap.INTEL_ROOT_SHA256:
        return [passed(step, "intel", "Intel's root")], False
    if policy is not None and policy.test_root_sha256 != name:
        return [failed(step, "test_root_refused", f"root {name}", "Intel's root")], True
    told = f"TEST ROOT {name}: whoever holds its key can make any quote"
    return [Reason(step, Outcome.WARNED, "test_root", told)], True


def sizes(bundle: Bundle) -> tuple[list[Reason], Bundle]:
    """Refuse what is too large before anybody parses it."""
    limits = (
        ("quote", QUOTE_BYTES_MAX),
        ("event_log", EVENT_LOG_BYTES_MAX),
        ("app_compose", COMPOSE_BYTES_MAX),
        ("statement", STATEMENT_BYTES_MAX),
        ("keys", KEYS_BYTES_MAX),
    )
    kept: dict[str, bytes | None] = {}
    reasons = []
    for name, limit in limits:
        part: bytes | None = getattr(bundle, name)
        too_large = part is not None and len(part) > limit
        kept[name] = None if too_large else part
        if part is not None and too_large:
            seen = f"{name} of {len(part)} bytes"
            reasons.append(failed(Step.SIZE, "too_large", seen, f"at most {limit}"))
    return reasons or [passed(Step.SIZE, "within", "every part within its limit")], Bundle(**kept)


def quote_format(bundle: Bundle) -> tuple[list[Reason], Quote | None, dcap.Platform | None]:
    """Is it a TDX quote, and of which platform."""
    step = Step.QUOTE_FORMAT
    if bundle.quote is None:
        return [absent(step, "a quote")], None, None
    try:
        quote = parse_quote(bundle.quote)
    except MalformedError as error:
        return [failed(step, "not_tdx", error.seen, error.expected)], None, None
    reasons = judge_format(quote)
    try:
        return reasons, quote, dcap.platform_of(quote)
    except MalformedError as error:
        return [*reasons, failed(step, "platform", error.seen, error.expected)], quote, None


def clock(asked: Asked) -> list[Reason]:
    """Time never goes back between two judgements."""
    if asked.now < asked.last_seen:
        expected = f"{asked.last_seen} or later, as judged before; set the clock right"
        seen = f"the clock at {asked.now}"
        return [Reason(Step.CLOCK, Outcome.UNVERIFIABLE, "went_back", seen, expected)]
    return [passed(Step.CLOCK, "forward", f"judged for {asked.now}")]


def collateral_step(
    collateral: Collateral | None,
    platform: dcap.Platform | None,
    policy: Policy | None,
    asked: Asked,
) -> list[Reason]:
    """Is Intel's word there, about this family, in force, recent, and not older than known."""
    step = Step.COLLATERAL
    if collateral is None:
        return [_unknown("none", "no collateral", "a complete set for this platform")]
    reasons = []
    if collateral.tee != "TDX":
        reasons.append(_unknown("not_tdx", f"collateral for {collateral.tee}", "for TDX"))
    if platform is not None and platform.fmspc != collateral.fmspc:
        seen = f"collateral for {collateral.fmspc}"
        reasons.append(_unknown("other_fmspc", seen, f"for {platform.fmspc}, as in the quote"))
    if asked.floor.above(collateral.evaluation):
        seen = f"evaluation {collateral.evaluation.tcb}, {collateral.evaluation.qe}"
        expected = f"at least {asked.floor.tcb}, {asked.floor.qe}, which was seen before"
        reasons.append(_unknown("evaluation_went_down", seen, expected))
    if asked.now < collateral.begins:
        seen = f"issued at {collateral.begins}, after {asked.now}"
        reasons.append(_unknown("not_yet_valid", seen, "documents of the past"))
    if asked.now >= collateral.ends:
        seen = f"ended at {collateral.ends}, before {asked.now}"
        reasons.append(_unknown("expired", seen, "every document in force"))
    age = asked.now - collateral.issued
    if policy is not None and age > policy.limits.collateral:
        expected = f"at most {policy.limits.collateral} s"
        reasons.append(_unknown("too_old", f"{age} s old", expected))
    said = f"evaluation {collateral.evaluation.tcb}, {age} s old, ends at {collateral.ends}"
    return reasons or [passed(step, "in_force", said)]


def _unknown(code: str, seen: str, expected: str) -> Reason:
    return Reason(Step.COLLATERAL, Outcome.UNVERIFIABLE, code, seen, expected)


def signature(
    quote: Quote | None,
    platform: dcap.Platform | None,
    collateral: Collateral | None,
    asked: Asked,
) -> tuple[list[Reason], dcap.Signed | None]:
    """Do all signatures hold, up to the root.

    With collateral out of its window the quote is still tried at that window's edge: a bad quote is
    bad whatever the date, and must not hide behind old documents.
    """
    step = Step.QUOTE_SIGNATURE
    if quote is None or platform is None:
        return [not_judged(step, Step.QUOTE_FORMAT, "no readable quote")], None
    if collateral is None:
        return [not_judged(step, Step.COLLATERAL, "no collateral")], None
    if collateral.tee != "TDX" or collateral.fmspc != platform.fmspc:
        return [not_judged(step, Step.COLLATERAL, "no collateral for this platform")], None
    if collateral.begins >= collateral.ends:
        return [not_judged(step, Step.COLLATERAL, "parts that never hold together")], None
    at = min(max(asked.now, collateral.begins), collateral.ends - 1)
    try:
        signed = dcap.verify(quote, collateral, asked.root, at)
    except dcap.RejectedError as error:
        if at != asked.now and error.code in {"expired", "not_yet_valid"}:
            return [not_judged(step, Step.COLLATERAL, error.text)], None
        expected = "every signature up to the root, nothing revoked, a known TCB level"
        return [failed(step, error.code, error.text, expected)], None
    if at != asked.now:
        told = f"signatures hold at {at}, which says nothing about {asked.now}"
        return [not_judged(step, Step.COLLATERAL, told)], None
    digest = hashlib.sha256(quote.raw[: quote.signed_size]).hexdigest()
    return [passed(step, "signed", f"signed part {digest[:16]}…, every signature holds")], signed


def tcb(
    signed: dcap.Signed | None, policy: Policy | None, asked: Asked
) -> tuple[list[Reason], int | None]:
    """Is the platform's level acceptable; also until when a grace lasts."""
    if signed is None:
        return [not_judged(Step.TCB, Step.QUOTE_SIGNATURE, "no verified status")], None
    rules = STRICT_TCB if policy is None else policy.tcb
    since = asked.out_of_date_since
    return judge_tcb(signed.status, signed.advisory_ids, rules, since, asked.now)
