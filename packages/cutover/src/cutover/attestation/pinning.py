"""From kept evidence to a drafted policy, which the evidence must then pass."""

from dataclasses import dataclass
from pathlib import Path

from cutover.attestation import dcap
from cutover.attestation.collateral import root_sha256
from cutover.attestation.draft import draft
from cutover.attestation.folder import asked_then, read_folder
from cutover.attestation.policy_file import load_policy
from cutover.attestation.statement import parse_statement
from cutover.attestation.strict import MalformedError
from cutover.attestation.verifier import verify
from cutover.errors import ConfigurationError
from cutover.evidence.observation import Verdict


@dataclass(frozen=True, slots=True)
class Refused:
    """Why there is no draft."""

    reasons: tuple[str, ...]


def drafted(
    plane: str, folder: Path, root: bytes | None, now: int, actor: str, reason: str
) -> str | Refused:
    """The policy's text, if the deployment passes it.

    Raises:
        ConfigurationError: the folder cannot be used.
    """
    bundle, collateral, recorded = read_folder(folder)
    asked = asked_then(recorded, now, root)
    try:
        test_root = None if root is None else root_sha256(root)
        test_root = None if test_root == dcap.INTEL_ROOT_SHA256 else test_root
        said = parse_statement(bundle.statement or b"")
        if said.plane != plane:
            return Refused((f"the statement names the plane {said.plane!r}, not {plane!r}",))
        text = draft(bundle, actor, reason, test_root)
        policy = load_policy(text, "draft")
    except (MalformedError, ConfigurationError) as error:
        return Refused((str(error),))
    found = verify(bundle, collateral, policy, asked)
    if found.verdict is not Verdict.VERIFIED:
        return Refused(tuple(str(one) for one in found.causes()))
    return text
