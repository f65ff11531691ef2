"""The few DER forms that the SGX extension of a PCK certificate is made of (attestation §12)."""

from collections.abc import Sequence


def _tlv(tag: int, body: bytes) -> bytes:
    if len(body) < 0x80:
        return bytes([tag, len(body)]) + body
    size = len(body).to_bytes((len(body).bit_length() + 7) // 8)
    return bytes([tag, 0x80 | len(size)]) + size + body


def sequence(*parts: bytes) -> bytes:
    """SEQUENCE of encoded parts."""
    return _tlv(0x30, b"".join(parts))


def integer(value: int) -> bytes:
    """INTEGER, not negative."""
    return _tlv(0x02, value.to_bytes(value.bit_length() // 8 + 1))


def enumerated(value: int) -> bytes:
    """ENUMERATED, not negative."""
    return _tlv(0x0A, value.to_bytes(value.bit_length() // 8 + 1))


def boolean(value: bool) -> bytes:
    """BOOLEAN."""
    return _tlv(0x01, b"\xff" if value else b"\x00")


def octets(value: bytes) -> bytes:
    """OCTET STRING."""
    return _tlv(0x04, value)


def oid(arcs: Sequence[int]) -> bytes:
    """OBJECT IDENTIFIER of these arcs."""
    body = bytes([arcs[0] * 40 + arcs[1]])
    for arc in arcs[2:]:
        digits = [arc & 0x7F]
        while arc := arc >> 7:
            digits.insert(0, 0x80 | arc & 0x7F)
        body += bytes(digits)
    return _tlv(0x06, body)
