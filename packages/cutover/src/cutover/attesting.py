"""What the deployment's file says about verification, read and ready: policy, services, root."""

from dataclasses import dataclass
from pathlib import Path

from cutover.attestation.collateral import root_sha256
from cutover.attestation.dcap import INTEL_ROOT_SHA256
from cutover.attestation.folder import read_file
from cutover.attestation.gather import endpoint
from cutover.attestation.measurement import Source
from cutover.attestation.pccs import Endpoint
from cutover.attestation.policy import Policy
from cutover.attestation.policy_file import load_policy
from cutover.attestation.strict import MalformedError
from cutover.errors import ConfigurationError
from cutover.settings import AttestationSettings, Settings


@dataclass(frozen=True, slots=True)
class Attesting:
    """How the candidate is verified.

    Attributes:
        policy: what it must prove.
        text: the policy word for word, to be kept beside the evidence.
        path: where that text stands.
        services: collateral services, in the order in which they are asked.
        refresh_seconds: age of collateral after which they are asked again.
        root: a test root in DER; None for Intel's.
    """

    policy: Policy
    text: str
    path: Path
    services: tuple[Endpoint, ...]
    refresh_seconds: int
    root: bytes | None

    def marks(self) -> tuple[str, ...]:
        """What will stand beside every verdict, as far as it is known before the first."""
        marks = () if self.root is None else ("TEST ROOT",)
        first = any(image.source is Source.FIRST_USE for image in self.policy.images)
        return (*marks, "TRUST ON FIRST USE") if first else marks

    def root_name(self) -> str:
        """Whose word everything rests on."""
        return "Intel's root" if self.root is None else f"TEST ROOT {root_sha256(self.root)}"


def load_attesting(settings: Settings) -> Attesting:
    """Read what `[attestation]` names.

    Raises:
        ConfigurationError: the table or a file is missing or unfit, or policy and root do not agree
            about a test root; with file and line.
    """
    asked = settings.attestation
    if asked is None:
        raise ConfigurationError(
            f"{settings.place('attestation')}: no such table, expected one with `policy`: say what"
            " the candidate must prove; `cutover attest pin` drafts a policy"
        )
    text = _policy_text(settings, asked)
    policy = load_policy(text, str(asked.policy))
    root = None if asked.unsafe_test_root is None else _root(settings, asked.unsafe_test_root)
    _agree(settings, policy, root)
    services = tuple(endpoint(url) for url in asked.pccs)
    return Attesting(policy, text, asked.policy, services, asked.refresh_seconds, root)


def _policy_text(settings: Settings, asked: AttestationSettings) -> str:
    place = settings.place("attestation", "policy")
    try:
        return read_file(asked.policy).decode("utf-8")
    except ConfigurationError as error:
        raise ConfigurationError(f"{place}: {error}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{place}: {asked.policy} is not UTF-8: {error}") from error


def _root(settings: Settings, path: Path) -> bytes:
    place = settings.place("attestation", "unsafe_test_root")
    try:
        der = read_file(path)
        name = root_sha256(der)
    except (ConfigurationError, MalformedError) as error:
        raise ConfigurationError(f"{place}: {path} cannot be used: {error}") from error
    if name == INTEL_ROOT_SHA256:
        raise ConfigurationError(f"{place}: {path} is Intel's own root: leave the setting out")
    return der


def _agree(settings: Settings, policy: Policy, root: bytes | None) -> None:
    """Configuration and policy must name the same test root, or none."""
    named, given = policy.test_root_sha256, None if root is None else root_sha256(root)
    if named == given:
        return
    if given is None:
        raise ConfigurationError(
            f"{settings.place('attestation', 'policy')}: the policy trusts the test root {named},"
            " expected none, since unsafe_test_root is not set: give the policy of production, or,"
            " in a rehearsal, the root in unsafe_test_root"
        )
    raise ConfigurationError(
        f"{settings.place('attestation', 'unsafe_test_root')}: this root is {given}, and the policy"
        f" names {named or 'none'}: leave the setting out, or, in a rehearsal, write"
        f' unsafe_test_root_sha256 = "{given}" into the policy'
    )
