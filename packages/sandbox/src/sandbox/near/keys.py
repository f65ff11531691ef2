"""Ed25519 keys and base58 in NEAR's spelling (rails §2.2)."""

from dataclasses import dataclass

import base58
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

PREFIX = "ed25519:"


def encode(raw: bytes) -> str:
    """Return base58."""
    return str(base58.b58encode(raw).decode())


def decode(text: str) -> bytes:
    """Return the bytes of base58 text; raises ValueError on any other character."""
    return bytes(base58.b58decode(text))


def show_public(raw: bytes) -> str:
    """Return `ed25519:<base58>`."""
    return PREFIX + encode(raw)


def verify(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Say whether `signature` is this key's signature over `message`."""
    try:
        VerifyKey(public_key).verify(message, signature)
    except (BadSignatureError, ValueError):
        return False
    return True


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A signing key; `secret` prints as NEAR does: 64 bytes of seed and public key."""

    signing: SigningKey

    @classmethod
    def from_seed(cls, seed: bytes) -> "KeyPair":
        """Return the key of a 32-byte seed."""
        return cls(SigningKey(seed))

    @property
    def public_raw(self) -> bytes:
        """The 32 public bytes."""
        return bytes(self.signing.verify_key)

    @property
    def public(self) -> str:
        """The public key as NEAR shows it."""
        return show_public(self.public_raw)

    @property
    def secret(self) -> str:
        """The secret key as NEAR's tools export it. Never log it."""
        return PREFIX + encode(bytes(self.signing) + self.public_raw)

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte signature over `message`."""
        return self.signing.sign(message).signature
