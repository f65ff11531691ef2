"""A first policy from a first deployment that a person approved (attestation §19).

Every value is learned, not recomputed, so the draft says `first_use` and every verdict under it
will, until somebody computes the registers from the image and changes the line.
"""

import json
from typing import Final

from cutover.attestation.bundle import Bundle
from cutover.attestation.compose import compose_hash, scripts, services
from cutover.attestation.eventlog import BootFacts, parse_event_log, read_facts
from cutover.attestation.keychain import kms_root_of, parse_keys
from cutover.attestation.measurement import measured
from cutover.attestation.quote import parse_quote
from cutover.attestation.statement import parse_statement
from cutover.attestation.strict import MalformedError, read_json

_TEMPLATE: Final = """\
# Drafted from one deployment, trusted on first use.
# approved by {actor}: {reason}
# evidence {evidence}
# Recompute the registers from the image, then write source = "recomputed".

[attestation]
plane = {plane}
release = {release}
{test_root}
[attestation.limits]
evidence = "15m"
nonce = "60s"
collateral = "7d"

[attestation.tcb]
hardening_advisories = []
rejected_advisories = []
out_of_date_grace = "7d"

[attestation.app]
id = {app_id}
instances = []            # any instance of this app
compose_hashes = [{compose_hash}]
services = {services}
allowed_envs = {envs}
scripts = {scripts}
events = {events}
mr_config_id = {config_id}

[attestation.key_provider]
name = {provider}
id = {provider_id}
{wallet}
[[attestation.image]]
label = {label}
source = "first_use"
mrtd = {mrtd}
rtmr0 = {rtmr0}
rtmr1 = {rtmr1}
rtmr2 = {rtmr2}
"""
_WALLET: Final = """
[attestation.wallet]
kms_root = {root}   # learned here: compare it with the one that the KMS publishes
purposes = {purposes}
"""
_TEST_ROOT: Final = "unsafe_test_root_sha256 = {root}   # REHEARSALS ONLY\n"


def draft(bundle: Bundle, actor: str, reason: str, test_root_sha256: str | None) -> str:
    """The policy's TOML text.

    Args:
        bundle: verified without a policy; quote, log, compose file and statement are all needed.
        actor: who approved the deployment.
        reason: why.
        test_root_sha256: of the root in a rehearsal; None for Intel's.

    Raises:
        MalformedError: when a part is absent or has not its form.
    """
    if None in (bundle.quote, bundle.event_log, bundle.app_compose, bundle.statement):
        raise MalformedError("an incomplete bundle", "quote, event log, compose file, statement")
    raw = bundle.app_compose or b""
    quote = parse_quote(bundle.quote or b"")
    facts = read_facts(parse_event_log(bundle.event_log or b""), None)
    said = parse_statement(bundle.statement or b"")
    registers = measured(quote.report)
    app = read_json(raw, "app-compose")
    image = facts.os_image_hash.hex()[:16] or "unnamed image"
    return _TEMPLATE.format(
        actor=_comment(actor),
        reason=_comment(reason),
        evidence=quote.evidence_id(),
        plane=_text(said.plane),
        release=_text(said.release),
        test_root=""
        if test_root_sha256 is None
        else _TEST_ROOT.format(root=_text(test_root_sha256)),
        app_id=_text(facts.app_id.hex()),
        compose_hash=_text(compose_hash(raw).hex()),
        services=_list(sorted(services(raw))),
        envs=_list(sorted(app.get("allowed_envs") or [])),
        scripts=_list(sorted(set(scripts(raw).values()))),
        events=_list(sorted(set(facts.application))),
        config_id=_text("required" if any(quote.report.mr_config_id) else "when_set"),
        provider=_text(facts.provider),
        provider_id=_text(facts.provider_id.hex()),
        wallet=_wallet(bundle, facts),
        label=_text(f"first use, OS image {image}"),
        mrtd=_text(registers.mrtd),
        rtmr0=_text(registers.rtmr0),
        rtmr1=_text(registers.rtmr1),
        rtmr2=_text(registers.rtmr2),
    )


def _wallet(bundle: Bundle, facts: BootFacts) -> str:
    if bundle.keys is None:
        return ""
    wallets = parse_keys(read_json(bundle.keys, "keys")).wallets
    if not wallets:
        return ""
    roots = {kms_root_of(one, facts.app_id) for one in wallets}
    if len(roots) != 1:
        raise MalformedError(f"chains to {len(roots)} roots", "one KMS root for every key")
    purposes = sorted(one.purpose for one in wallets)
    return _WALLET.format(root=_text(roots.pop().hex()), purposes=_list(purposes))


def _text(value: str) -> str:
    # JSON's basic strings are TOML's, apart from DEL, which TOML wants escaped.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _list(values: list[str]) -> str:
    return "[" + ", ".join(_text(value) for value in values) + "]"


def _comment(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)
