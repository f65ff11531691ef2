"""Keys that the KMS gave this app, and what they sign: our statement, so that we hold them now."""

from dataclasses import dataclass, field

import coincurve
from eth_utils.crypto import keccak

from agent_runtime.dstack import AppKey


@dataclass(frozen=True, slots=True)
class WalletKey:
    """A secp256k1 key of this app.

    Attributes:
        purpose: that it was asked for with; the first link of the chain is over it.
        public: compressed, 33 bytes.
        chain: from the KMS root to this key.
    """

    purpose: str
    public: bytes
    chain: tuple[bytes, bytes]
    _own: coincurve.PrivateKey = field(repr=False)

    @classmethod
    def of(cls, purpose: str, key: AppKey) -> "WalletKey":
        """The key of a secret.

        Raises:
            ValueError: the secret is none of this curve.
        """
        own = coincurve.PrivateKey(key.secret)
        return cls(purpose, own.public_key.format(), key.chain, own)

    def shown(self, statement: bytes) -> dict[str, object]:
        """What the evidence says of this key, with its signature over the statement."""
        signature = self._own.sign_recoverable(keccak(statement), hasher=None)
        return {
            "algorithm": "secp256k1",
            "purpose": self.purpose,
            "public_key": self.public.hex(),
            "signature_chain": [link.hex() for link in self.chain],
            "signature": signature.hex(),
        }
