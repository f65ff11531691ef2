"""Every key follows from one seed and a name: the same seed gives the same bytes everywhere."""

import hashlib
import hmac
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

_P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
SECP256K1_ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_ECDSA: Final = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)


def derive(seed: bytes, name: str, size: int = 32) -> bytes:
    """Return `size` bytes (at most 64) that follow from the seed and the name."""
    return hmac.digest(seed, name.encode(), hashlib.sha512)[:size]


def p256(seed: bytes, name: str) -> ec.EllipticCurvePrivateKey:
    """Return the P-256 key of this name."""
    scalar = int.from_bytes(derive(seed, f"p256 {name}", 48)) % (_P256_ORDER - 1) + 1
    return ec.derive_private_key(scalar, ec.SECP256R1())


def secp256k1_scalar(seed: bytes, name: str) -> bytes:
    """Return the secp256k1 secret of this name, 32 bytes."""
    scalar = int.from_bytes(derive(seed, f"secp256k1 {name}", 48)) % (SECP256K1_ORDER - 1) + 1
    return scalar.to_bytes(32)


def sign_raw(key: ec.EllipticCurvePrivateKey, message: bytes) -> bytes:
    """Sign with ECDSA and SHA-256; 64 bytes r and s, always the same ones for one message."""
    r, s = decode_dss_signature(key.sign(message, _ECDSA))
    return r.to_bytes(32) + s.to_bytes(32)


def raw_public(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return the public point as 64 bytes, x and y."""
    numbers = key.public_key().public_numbers()
    return numbers.x.to_bytes(32) + numbers.y.to_bytes(32)


def spki(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return the SubjectPublicKeyInfo of a key, DER."""
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
