"""Wallet keys: released by the KMS to this app, and in the hands of who speaks (attestation §6).

A chain says that the KMS gave the key to an attested machine of the app at some time; every replica
has the same one, and it is not fresh. So the key also signs the statement, which has the nonce.
"""

import hmac
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from coincurve import PublicKey
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from eth_hash.auto import keccak

from cutover.attestation.limits import WALLETS_MAX
from cutover.attestation.strict import MalformedError, hex_bytes, shown, table_of, text_of

_SIZES: Final = {"secp256k1": 33, "ed25519": 32}
_ISSUED: Final = b"dstack-kms-issued:"


@dataclass(frozen=True, slots=True)
class Wallet:
    """A key that the plane claims.

    Attributes:
        algorithm: secp256k1 or ed25519.
        purpose: as it was asked for from the KMS; part of the first signature.
        public_key: compressed, or the raw 32 bytes.
        chain: by the app key over the wallet key, and by the KMS root over the app key.
        signature: by the wallet key over the statement.
    """

    algorithm: str
    purpose: str
    public_key: bytes
    chain: tuple[bytes, bytes]
    signature: bytes


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys part of a bundle."""

    tls_spki: bytes
    wallets: tuple[Wallet, ...]


def parse_keys(value: object) -> Keys:
    """Read the keys part.

    Raises:
        MalformedError: for anything else.
    """
    table = table_of(value, "keys")
    wallets = table.get("wallets", [])
    if not isinstance(wallets, list) or len(wallets) > WALLETS_MAX:
        raise MalformedError(f"keys: wallets {shown(wallets)}", f"a list of at most {WALLETS_MAX}")
    tls = hex_bytes(table.get("tls_spki_sha256"), "keys: tls_spki_sha256", 32)
    return Keys(tls, tuple(_wallet(table_of(one, "wallet")) for one in wallets))


def _wallet(table: dict[str, Any]) -> Wallet:
    algorithm = text_of(table, "algorithm", "wallet")
    if algorithm not in _SIZES:
        raise MalformedError(f"wallet: algorithm {shown(algorithm)}", "secp256k1 or ed25519")
    chain = table.get("signature_chain")
    if not isinstance(chain, list) or len(chain) != 2:
        raise MalformedError(f"wallet: signature_chain {shown(chain)}", "two signatures")
    first, second = (hex_bytes(one, "wallet: signature_chain", 65) for one in chain)
    key = hex_bytes(table.get("public_key"), "wallet: public_key", _SIZES[algorithm])
    signature = hex_bytes(table.get("signature"), "wallet: signature", 64, 65)
    return Wallet(algorithm, text_of(table, "purpose", "wallet"), key, (first, second), signature)


def kms_root_of(wallet: Wallet, app_id: bytes) -> bytes:
    """The compressed root key that this chain leads to for this app; compare it with the pin.

    Raises:
        MalformedError: when a signature recovers no key at all.
    """
    return _root_of(wallet.purpose, wallet.public_key, wallet.chain, app_id)


@lru_cache(maxsize=64)
def _root_of(purpose: str, key: bytes, chain: tuple[bytes, bytes], app_id: bytes) -> bytes:
    """A chain never changes, so it is followed once."""
    app_key = _recover(chain[0], f"{purpose}:{key.hex()}".encode())
    return _recover(chain[1], _ISSUED + app_id + app_key)


def check_chain(wallet: Wallet, app_id: bytes, root: bytes) -> None:
    """The KMS with this root released the key to this app.

    Raises:
        MalformedError: when it did not.
    """
    found = kms_root_of(wallet, app_id)
    if not hmac.compare_digest(found, root):
        raise MalformedError(f"a chain to {found.hex()}", f"the KMS root {root.hex()}")


def check_possession(wallet: Wallet, statement: bytes) -> None:
    """Who made the statement holds the key.

    Raises:
        MalformedError: when the key did not sign it.
    """
    if wallet.algorithm == "ed25519":
        try:
            Ed25519PublicKey.from_public_bytes(wallet.public_key).verify(
                wallet.signature, statement
            )
        except (InvalidSignature, ValueError) as error:
            raise MalformedError("no signature by it", "the statement, signed") from error
    elif not hmac.compare_digest(_recover(wallet.signature, statement), wallet.public_key):
        raise MalformedError("a signature by another key", "the statement, signed by this one")


def _recover(signature: bytes, said: bytes) -> bytes:
    """The compressed key that made a recoverable signature over keccak256."""
    if len(signature) != 65 or signature[64] > 3:
        raise MalformedError(f"signature {signature.hex()[:16]}…", "65 bytes ending in 0 to 3")
    try:
        key = PublicKey.from_signature_and_message(signature, keccak(said), hasher=None)
    except Exception as error:  # the binding raises a bare Exception for bad input
        raise MalformedError(f"signature {signature.hex()[:16]}…", "one of some key") from error
    return key.format(compressed=True)
