"""From a policy's TOML text to a `Policy`, or to what is wrong with it, file and line.

The same way as a runbook's (`cutover.runbook.load`): values, shape, then what shape cannot say.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from cutover.attestation.compose import ComposePolicy
from cutover.attestation.measurement import Image, Source
from cutover.attestation.policy import KeyProvider, Limits, Policy, WalletPolicy
from cutover.attestation.policy_schema import ImagePart, PolicyDocument, PolicyPart, json_schema
from cutover.attestation.tcb import TcbPolicy
from cutover.errors import ConfigurationError
from cutover.runbook.finding import Fault, Finding, Loc, Severity
from cutover.runbook.lines import located
from cutover.runbook.shape import NotTomlError, parse_toml, read_model

_GRACE_MS_USUAL: Final = 15 * 86_400_000
__all__ = ["PolicyError", "json_schema", "lint_policy", "load_policy"]


class PolicyError(ConfigurationError):
    """The text is no policy that a plane can be judged by.

    Attributes:
        findings: every error found, in the order of the text.
    """

    def __init__(self, source: str, findings: Sequence[Finding]) -> None:
        self.findings = tuple(findings)
        lines = "\n".join(str(finding) for finding in self.findings)
        super().__init__(
            f"{lines}\nnothing was judged. Change the text, then `cutover attest lint {source}`."
        )


def load_policy(text: str, source: str) -> Policy:
    """The policy that `text` spells out.

    Args:
        text: TOML with a section `[attestation]`.
        source: the file's name, for messages.

    Raises:
        PolicyError: with every error found; warnings do not stop a load.
    """
    document, findings = _read(text, source)
    errors = [finding for finding in findings if finding.severity is Severity.ERROR]
    if document is None or errors:
        raise PolicyError(source, errors)
    return _build(document.attestation)


def lint_policy(text: str, source: str) -> list[Finding]:
    """Everything that is wrong (errors) or risky (warnings) in `text`, in its order."""
    return _read(text, source)[1]


def _read(text: str, source: str) -> tuple[PolicyDocument | None, list[Finding]]:
    try:
        values = parse_toml(text)
    except NotTomlError as error:
        seen = f"text that cannot be read ({error.seen})"
        return None, [Finding(source, error.line, "", seen, "valid TOML", Severity.ERROR)]
    shape = read_model(PolicyDocument, json_schema, values, "a policy")
    if isinstance(shape, PolicyDocument):
        return shape, located(_faults(shape.attestation), values, text, source)
    return None, located(shape, values, text, source)


def _faults(part: PolicyPart) -> Iterator[Fault]:
    """What the shape cannot say; those that are warnings are executed all the same."""
    yield from _errors(part)
    yield from _risks(part)


def _errors(part: PolicyPart) -> Iterator[Fault]:
    base = "attestation"
    lists: tuple[tuple[Loc, Sequence[object]], ...] = (
        ((base, "image"), part.image),
        ((base, "app", "compose_hashes"), part.app.compose_hashes),
        ((base, "app", "services"), part.app.services),
        ((base, "wallet", "purposes"), ("none",) if part.wallet is None else part.wallet.purposes),
    )
    for loc, values in lists:
        if not values:
            yield Fault(loc, "an empty list", "at least one: nothing could ever pass")
    if part.limits.nonce > part.limits.evidence:
        seen = "a nonce that outlives the verdict"
        yield Fault((base, "limits", "nonce"), seen, "at most limits.evidence")
    if part.key_provider.name == "kms" and not part.key_provider.id:
        yield Fault((base, "key_provider", "id"), "nothing", "the KMS root CA's public key")
    if part.wallet is not None and len(set(part.wallet.purposes)) != len(part.wallet.purposes):
        yield Fault((base, "wallet", "purposes"), "a purpose twice", "each purpose once")
    for position, image in enumerate(part.image):
        if "0" * 96 in {image.mrtd, image.rtmr0, image.rtmr1, image.rtmr2}:
            yield Fault((base, "image", position), "a register of zeros", "a measured value")


def _risks(part: PolicyPart) -> Iterator[Fault]:
    base = "attestation"
    for position, image in enumerate(part.image):
        if image.source is Source.FIRST_USE:
            seen = "trust on first use: nobody recomputed these values from the image"
            expected = 'values recomputed, and source = "recomputed"'
            yield Fault((base, "image", position, "source"), seen, expected, Severity.WARNING)
    if part.unsafe_test_root_sha256 is not None:
        seen = "a test root: whoever holds its key can make any quote"
        expected = "this line nowhere but in a rehearsal"
        yield Fault((base, "unsafe_test_root_sha256"), seen, expected, Severity.WARNING)
    if part.tcb.out_of_date_grace > _GRACE_MS_USUAL:
        loc = (base, "tcb", "out_of_date_grace")
        yield Fault(loc, "a grace above 15 days", "at most 15d", Severity.WARNING)


def _build(part: PolicyPart) -> Policy:
    app, tcb, limits = part.app, part.tcb, part.limits
    wallet = part.wallet
    return Policy(
        plane=part.plane,
        release=part.release,
        test_root_sha256=part.unsafe_test_root_sha256,
        limits=Limits(*(ms // 1000 for ms in (limits.evidence, limits.nonce, limits.collateral))),
        tcb=TcbPolicy(
            frozenset(tcb.hardening_advisories),
            frozenset(tcb.rejected_advisories),
            tcb.out_of_date_grace // 1000,
        ),
        app_id=bytes.fromhex(app.id),
        instances=frozenset(map(bytes.fromhex, app.instances)),
        compose_hashes=frozenset(map(bytes.fromhex, app.compose_hashes)),
        app_events=frozenset(app.events),
        compose=ComposePolicy(
            frozenset(app.services), frozenset(app.allowed_envs), frozenset(app.scripts)
        ),
        config_id=app.mr_config_id,
        key_provider=KeyProvider(part.key_provider.name, bytes.fromhex(part.key_provider.id)),
        wallet=None
        if wallet is None
        else WalletPolicy(bytes.fromhex(wallet.kms_root), frozenset(wallet.purposes)),
        images=tuple(_image(one) for one in part.image),
    )


def _image(part: ImagePart) -> Image:
    return Image(
        part.label,
        part.source,
        bytes.fromhex(part.mrtd),
        bytes.fromhex(part.rtmr0),
        bytes.fromhex(part.rtmr1),
        bytes.fromhex(part.rtmr2),
    )
