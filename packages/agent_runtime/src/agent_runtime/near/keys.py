"""ed25519 keys in NEAR's writing (rails §2.2)."""

from dataclasses import dataclass, field

import base58
from nacl.signing import SigningKey


@dataclass(frozen=True)
class Key:
    """A signing key.

    Attributes:
        public: the 32 bytes of its public half.
    """

    public: bytes
    _signing: SigningKey = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> "Key":
        """Read `ed25519:<base58>` of a 32-byte seed, or of seed and public key together.

        Raises:
            ValueError: another form, or a public half that is not the seed's.
        """
        kind, _, body = text.partition(":")
        raw = base58.b58decode(body)
        if kind != "ed25519" or len(raw) not in {32, 64}:
            raise ValueError("expected ed25519:<base58 of 32 or 64 bytes>")
        signing = SigningKey(raw[:32])
        public = bytes(signing.verify_key)
        if len(raw) == 64 and raw[32:] != public:
            raise ValueError("the public half does not belong to the seed")
        return cls(public, signing)

    def sign(self, message: bytes) -> bytes:
        """64 bytes; the same message always gives the same ones."""
        return self._signing.sign(message).signature

    @property
    def text(self) -> str:
        """`ed25519:<base58>` of the public half."""
        return "ed25519:" + base58.b58encode(self.public).decode()
