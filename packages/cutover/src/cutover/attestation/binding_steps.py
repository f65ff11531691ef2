"""The rest of the pipeline: is it fresh, and who we are talking to (attestation §16, 5, 10-11)."""

import hmac

from cutover.attestation.bundle import Asked, Bundle
from cutover.attestation.eventlog import BootFacts
from cutover.attestation.keychain import (
    Keys,
    Wallet,
    check_chain,
    check_possession,
    parse_keys,
)
from cutover.attestation.policy import Policy, WalletPolicy
from cutover.attestation.quote import Quote
from cutover.attestation.statement import Statement, key_set_digest, parse_statement, report_data
from cutover.attestation.strict import MalformedError, read_json, shown
from cutover.attestation.verdict import (
    Outcome,
    Reason,
    Step,
    absent,
    failed,
    not_asked,
    not_judged,
    passed,
)


def statement(
    bundle: Bundle, quote: Quote | None, policy: Policy | None, asked: Asked
) -> tuple[list[Reason], Statement | None]:
    """Does the quote carry this statement, and does it speak of our plane and release, now."""
    step = Step.STATEMENT
    if bundle.statement is None:
        what = "a statement"
        return [not_asked(step, "no statement") if policy is None else absent(step, what)], None
    reasons = [_bound(bundle.statement, quote)]
    try:
        said = parse_statement(bundle.statement)
    except MalformedError as error:
        return [*reasons, failed(step, "malformed", error.seen, error.expected)], None
    if policy is not None:
        if said.plane != policy.plane:
            reasons.append(failed(step, "other_plane", shown(said.plane), policy.plane))
        if said.release != policy.release:
            reasons.append(failed(step, "other_release", shown(said.release), policy.release))
    if asked.now >= said.expires:
        seen = f"expired at {said.expires}, before {asked.now}"
        reasons.append(Reason(step, Outcome.STALE, "expired", seen, "a statement in force"))
    return reasons, said


def _bound(raw: bytes, quote: Quote | None) -> Reason:
    step = Step.STATEMENT
    if quote is None:
        return not_judged(step, Step.QUOTE_FORMAT, "no report_data")
    expected = report_data(raw)
    if not hmac.compare_digest(quote.report.report_data, expected):
        seen = f"report_data {quote.report.report_data.hex()[:32]}…"
        return failed(step, "not_bound", seen, f"{expected.hex()[:32]}…, its SHA-512")
    return passed(step, "bound", "report_data is its SHA-512, all 64 bytes")


def nonce(said: Statement | None, policy: Policy | None, asked: Asked) -> list[Reason]:
    """Was this made for our question, in time, and for the first time."""
    step = Step.NONCE
    if asked.nonce is None:
        if asked.live:
            return [failed(step, "none_issued", "no nonce", "a nonce of ours for every question")]
        return [not_asked(step, "freshness can only be judged by who asked")]
    if said is None:
        return [not_judged(step, Step.STATEMENT, "no readable statement")]
    if not hmac.compare_digest(said.nonce, asked.nonce.value):
        return [failed(step, "other", "another nonce", "the one that was asked with")]
    if asked.nonce.used:
        return [failed(step, "reused", "a nonce already answered", "one answer to one question")]
    age = asked.now - asked.nonce.issued
    if age < 0:
        return [failed(step, "future", f"issued {-age} s from now", "a nonce of the past")]
    if policy is not None and age > policy.limits.nonce:
        expected = f"at most {policy.limits.nonce} s"
        return [Reason(step, Outcome.STALE, "too_old", f"asked {age} s ago", expected)]
    return [passed(step, "fresh", f"ours, asked {age} s ago, not used before")]


def keys_of(bundle: Bundle) -> tuple[list[Reason], Keys | None]:
    """The keys part, read; a reason only if it cannot be."""
    if bundle.keys is None:
        return [], None
    try:
        return [], parse_keys(read_json(bundle.keys, "keys"))
    except MalformedError as error:
        return [failed(Step.TLS_KEY, "malformed", error.seen, error.expected)], None


def tls_key(
    said: Statement | None, keys: Keys | None, policy: Policy | None, asked: Asked
) -> list[Reason]:
    """Is the attested key the one at the other end of our connection."""
    step = Step.TLS_KEY
    if said is None:
        if policy is None and not asked.live:
            return [not_asked(step, "no statement")]
        return [not_judged(step, Step.STATEMENT, "no attested key")]
    reasons = []
    if keys is not None and not hmac.compare_digest(keys.tls_spki, said.tls_spki):
        expected = f"{said.tls_spki.hex()}, by the statement"
        reasons.append(failed(step, "other_in_keys", keys.tls_spki.hex(), expected))
    if asked.peer_spki is None:
        if asked.live:
            expected = "a TLS connection whose key is known"
            return [*reasons, failed(step, "no_tls", "no key of the connection", expected)]
        return reasons or [not_asked(step, f"no connection; attested {said.tls_spki.hex()}")]
    if not hmac.compare_digest(asked.peer_spki, said.tls_spki):
        expected = f"{said.tls_spki.hex()}, as attested: who answers is not who proved itself"
        return [*reasons, failed(step, "other_peer", asked.peer_spki.hex(), expected)]
    if asked.peer_ends is not None and asked.now >= asked.peer_ends:
        seen = f"a certificate that ended at {asked.peer_ends}"
        reasons.append(Reason(step, Outcome.STALE, "certificate_ended", seen, "one in force"))
    return reasons or [passed(step, "pinned", said.tls_spki.hex())]


def wallet_key(
    said: Statement | None, keys: Keys | None, facts: BootFacts | None, policy: Policy | None
) -> tuple[list[Reason], tuple[str, ...]]:
    """Are they the stated keys, released by the pinned KMS to this app, in the plane's hands."""
    step = Step.WALLET_KEY
    if keys is None:
        if policy is None:
            return [not_asked(step, "no keys")], ()
        return [absent(step, "the keys part")], ()
    if said is None:
        return [not_judged(step, Step.STATEMENT, "no statement to compare with")], ()
    reasons = _key_set(said, keys)
    names = tuple(sorted(f"{one.algorithm}:{one.public_key.hex()}" for one in keys.wallets))
    if policy is None:
        return reasons or [not_asked(step, "no policy, so no KMS root")], names
    if facts is None:
        return [*reasons, not_judged(step, Step.EVENT_LOG, "no measured app-id")], ()
    reasons += _wallets(said, keys.wallets, facts, policy.wallet)
    return reasons or [passed(step, "released", ", ".join(names) or "no key, none asked")], names


def _key_set(said: Statement, keys: Keys) -> list[Reason]:
    wallets = [(one.algorithm, one.public_key) for one in keys.wallets]
    digest = key_set_digest(keys.tls_spki, wallets)
    if hmac.compare_digest(digest, said.keys):
        return []
    seen = f"a key set with digest {digest.hex()}"
    return [failed(Step.WALLET_KEY, "other_key_set", seen, f"{said.keys.hex()}, as stated")]


def _wallets(
    said: Statement, wallets: tuple[Wallet, ...], facts: BootFacts, policy: WalletPolicy | None
) -> list[Reason]:
    step = Step.WALLET_KEY
    purposes = sorted(one.purpose for one in wallets)
    wanted = sorted(policy.purposes) if policy else []
    reasons = []
    if purposes != wanted:
        seen = f"keys for {shown(', '.join(purposes)) or 'nothing'}"
        expected = f"exactly one each for {', '.join(wanted) or 'nothing'}"
        reasons.append(failed(step, "other_purposes", seen, expected))
    if policy is None:
        return reasons
    for one in wallets:
        name = f"{one.algorithm} {one.public_key.hex()}"
        try:
            check_chain(one, facts.app_id, policy.kms_root)
        except MalformedError as error:
            reasons.append(failed(step, "not_released", f"{name}: {error.seen}", error.expected))
        try:
            check_possession(one, said.raw)
        except MalformedError as error:
            reasons.append(failed(step, "not_held", f"{name}: {error.seen}", error.expected))
    return reasons
