"""What a plane must prove: the policy as the verifier uses it."""

from dataclasses import dataclass
from typing import Final

from cutover.attestation.compose import ComposePolicy
from cutover.attestation.measurement import ConfigId, Image
from cutover.attestation.tcb import TcbPolicy


@dataclass(frozen=True, slots=True)
class Limits:
    """Ages, in seconds.

    Attributes:
        evidence: how long a verdict says anything.
        nonce: between our question and the plane's answer.
        collateral: of Intel's documents, by their own issue dates.
    """

    evidence: int
    nonce: int
    collateral: int


@dataclass(frozen=True, slots=True)
class KeyProvider:
    """Who gives keys to the plane.

    Attributes:
        name: as the event log has it.
        id: for `kms` the SubjectPublicKeyInfo of its root CA, raw bytes.
    """

    name: str
    id: bytes


@dataclass(frozen=True, slots=True)
class WalletPolicy:
    """Which keys must be shown.

    Attributes:
        kms_root: compressed secp256k1 key that every chain must lead to.
        purposes: purposes for which exactly one key each must be there.
    """

    kms_root: bytes
    purposes: frozenset[str]


@dataclass(frozen=True, slots=True)
class Policy:
    """Everything that is asked of one plane. Nothing in it is optional evidence.

    Attributes:
        plane, release: as the statement must say.
        test_root_sha256: the only root that is accepted beside Intel's; None in production.
        limits: ages.
        tcb: platform levels.
        app_id: raw bytes.
        instances: known instance ids; empty for any, since a first deployment has no id yet.
        compose_hashes: allowed, raw bytes.
        app_events: events that the application may add to the log.
        compose: what may stand in the compose file.
        config_id: what is asked of `mr_config_id`.
        key_provider: who gives keys.
        wallet: which keys must be shown; None if the plane holds none.
        images: allowed registers.
    """

    plane: str
    release: str
    test_root_sha256: str | None
    limits: Limits
    tcb: TcbPolicy
    app_id: bytes
    instances: frozenset[bytes]
    compose_hashes: frozenset[bytes]
    app_events: frozenset[str]
    compose: ComposePolicy
    config_id: ConfigId
    key_provider: KeyProvider
    wallet: WalletPolicy | None
    images: tuple[Image, ...]


STRICT_TCB: Final = TcbPolicy(frozenset(), frozenset(), out_of_date_grace=7 * 86_400)
"""Used where no policy is given: nothing is accepted beyond what Intel calls up to date."""
