"""The key management service: keys that an app gets, and the signatures that say so (§6).

Everything follows from the seed and the app id, so every replica of an app gets the same keys, as
with a real KMS; only TLS keys (`tls`) are new at each call.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal

import coincurve
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from eth_hash.auto import keccak

from sandbox.tee import keys

Algorithm = Literal["secp256k1", "ed25519"]
_ISSUED: Final = b"dstack-kms-issued:"


@dataclass(frozen=True, slots=True, repr=False)
class AppKey:
    """A key for an app.

    Attributes:
        secret: 32 bytes.
        public: compressed, or the raw 32 bytes.
        chain: by the app's key over this one, by the KMS root over the app's key; r, s, v each.
    """

    secret: bytes
    public: bytes
    chain: tuple[bytes, bytes]


@dataclass(frozen=True, repr=False)
class Kms:
    """One key management service and its two roots."""

    seed: bytes

    @cached_property
    def ca(self) -> ec.EllipticCurvePrivateKey:
        """The root authority of TLS certificates."""
        return keys.p256(self.seed, "kms root ca")

    @cached_property
    def root_spki(self) -> bytes:
        """SubjectPublicKeyInfo of the root authority, DER: the id of the key provider."""
        return keys.spki(self.ca)

    @cached_property
    def root_public(self) -> bytes:
        """Compressed secp256k1 key at the end of every signature chain."""
        return self._root.public_key.format()

    def app_ca(self, app_id: bytes) -> ec.EllipticCurvePrivateKey:
        """Return the authority below the root that signs the TLS certificates of one app."""
        return keys.p256(self.seed, f"app ca {app_id.hex()}")

    def app_key(self, app_id: bytes, path: str, purpose: str, algorithm: Algorithm) -> AppKey:
        """Return the key of an app under a path, with its chain to the root."""
        parent = self._parent(app_id)
        secret = _hkdf(parent.secret, path.encode())
        if algorithm == "ed25519":
            public = Ed25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()
        else:
            public = coincurve.PrivateKey(secret).public_key.format()
        said = f"{purpose}:{public.hex()}".encode()
        issued = _ISSUED + app_id + parent.public_key.format()
        return AppKey(secret, public, (_sign(parent, said), _sign(self._root, issued)))

    @cached_property
    def _root(self) -> coincurve.PrivateKey:
        return coincurve.PrivateKey(keys.secp256k1_scalar(self.seed, "kms root"))

    def _parent(self, app_id: bytes) -> coincurve.PrivateKey:
        return coincurve.PrivateKey(_hkdf(self._root.secret, app_id + b"app-key"))


def _hkdf(secret: bytes, info: bytes) -> bytes:
    return HKDF(hashes.SHA256(), 32, b"RATLS", info).derive(secret)


def _sign(key: coincurve.PrivateKey, said: bytes) -> bytes:
    return key.sign_recoverable(keccak(said), hasher=None)
