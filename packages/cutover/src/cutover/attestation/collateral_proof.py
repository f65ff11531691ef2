"""Is a set of collateral what Intel signed, before it replaces one that we have.

The quote's verifier checks the same again, with the quote. This check is without one: so a service
that hands out rubbish can neither push a good set out of the cache nor raise the floor, and a
revoked quote can never be the reason to fall back to an older set.
"""

import hashlib

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding

from cutover.attestation.certificates import UNREADABLE
from cutover.attestation.collateral import Collateral
from cutover.attestation.strict import MalformedError, hex_bytes, read_json, shown, table_of

_RAW_SIGNATURE = 64


def prove(collateral: Collateral, root_sha256: str) -> None:
    """Every document is signed, up to this root, and none of the signers is revoked.

    Args:
        collateral: in its form.
        root_sha256: of the root's certificate in DER.

    Raises:
        MalformedError: naming the part that is not.
    """
    try:
        _prove(collateral, root_sha256)
    except MalformedError:
        raise
    except UNREADABLE as error:
        raise MalformedError(f"collateral: {shown(str(error))}", "readable certificates") from error


def _prove(collateral: Collateral, root_sha256: str) -> None:
    parts: dict[str, str] = table_of(read_json(collateral.text, "collateral"), "collateral")
    names = ("tcb_info", "qe_identity", "pck_crl")
    chains = {name: _chain(parts[f"{name}_issuer_chain"], root_sha256, name) for name in names}
    signers = {name: signer for name, (signer, _) in chains.items()}
    root = chains["pck_crl"][1]
    for name in ("tcb_info", "qe_identity"):
        _document(parts, name, signers[name])
    revoked = _crl(parts, "root_ca_crl", root)
    _crl(parts, "pck_crl", signers["pck_crl"])
    for name, signer in signers.items():
        if revoked.get_revoked_certificate_by_serial_number(signer.serial_number) is not None:
            raise MalformedError(f"{name}: a revoked signer", "one that the root still vouches for")


def _chain(pem: str, root_sha256: str, name: str) -> tuple[x509.Certificate, x509.Certificate]:
    """Signer and root of a chain of two."""
    chain = x509.load_pem_x509_certificates(pem.encode())
    if len(chain) != 2:
        raise MalformedError(f"{name}: {len(chain)} certificates", "signer and root")
    signer, root = chain
    found = hashlib.sha256(root.public_bytes(Encoding.DER)).hexdigest()
    if found != root_sha256:
        raise MalformedError(f"{name}: root {found}", root_sha256)
    try:
        signer.verify_directly_issued_by(root)
    except InvalidSignature as error:
        raise MalformedError(
            f"{name}: {shown(str(error))}", "a signer issued by the root"
        ) from error
    return signer, root


def _key(certificate: x509.Certificate, name: str) -> ec.EllipticCurvePublicKey:
    key = certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise MalformedError(f"{name}: a key of another kind", "an elliptic curve key")
    return key


def _document(parts: dict[str, str], name: str, signer: x509.Certificate) -> None:
    raw = hex_bytes(parts[f"{name}_signature"], f"{name}_signature", _RAW_SIGNATURE)
    numbers = (int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    try:
        _key(signer, name).verify(
            encode_dss_signature(*numbers), parts[name].encode(), ec.ECDSA(hashes.SHA256())
        )
    except InvalidSignature as error:
        raise MalformedError(f"{name}: a signature that does not hold", "its signer's") from error


def _crl(
    parts: dict[str, str], name: str, signer: x509.Certificate
) -> x509.CertificateRevocationList:
    crl = x509.load_der_x509_crl(hex_bytes(parts[name], name))
    if not crl.is_signature_valid(_key(signer, name)):
        raise MalformedError(f"{name}: a signature that does not hold", "its issuer's")
    return crl
