"""Signed NEAR transactions to and from bytes (rails §2.2): borsh, little endian, strict.

Strict means: every byte is accounted for, unknown tags are refused, text is UTF-8. Bytes that a
node would refuse must not be accepted here, or a client's mistake would stay unseen.
"""

import base64
import hashlib
import struct
from dataclasses import dataclass

from sandbox.near.keys import KeyPair, encode, show_public


class DecodeError(ValueError):
    """The bytes are not a signed transaction that this chain understands."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """Move NEAR to the receiver."""

    deposit: int


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """Call the receiver's contract."""

    method_name: str
    args: bytes
    gas: int
    deposit: int


@dataclass(frozen=True, slots=True)
class FunctionCallPermission:
    """What a limited access key may do."""

    allowance: int | None
    receiver_id: str
    method_names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AddKey:
    """Add an access key to the receiver; `permission` None is full access."""

    public_key: bytes
    permission: FunctionCallPermission | None


@dataclass(frozen=True, slots=True)
class DeleteKey:
    """Take an access key away."""

    public_key: bytes


Action = Transfer | FunctionCall | AddKey | DeleteKey


@dataclass(frozen=True, slots=True)
class Transaction:
    """What is signed."""

    signer_id: str
    public_key: bytes
    nonce: int
    receiver_id: str
    block_hash: bytes
    actions: tuple[Action, ...]


@dataclass(frozen=True, slots=True)
class SignedTransaction:
    """A transaction, its signature, and the hash that names it."""

    transaction: Transaction
    signature: bytes
    digest: bytes

    @property
    def hash(self) -> str:
        """The transaction hash in base58."""
        return encode(self.digest)


class _Reader:
    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.at = 0

    def take(self, count: int) -> bytes:
        part = self.raw[self.at : self.at + count]
        if len(part) != count:
            raise DecodeError(f"{count} bytes expected at {self.at}, {len(part)} are left")
        self.at += count
        return part

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def text(self) -> str:
        try:
            return self.take(self.number(4)).decode()
        except UnicodeDecodeError as error:
            raise DecodeError(f"text before byte {self.at} is not UTF-8") from error

    def ed25519(self, size: int, what: str) -> bytes:
        kind = self.number(1)
        if kind != 0:
            raise DecodeError(f"{what} kind {kind}; only 0 (ed25519) is understood")
        return self.take(size)


def decode_signed(raw: bytes) -> SignedTransaction:
    """Decode a signed transaction.

    Raises:
        DecodeError: a byte is missing, left over or not understood.
    """
    reader = _Reader(raw)
    transaction = _read_transaction(reader)
    digest = hashlib.sha256(raw[: reader.at]).digest()
    signature = reader.ed25519(64, "signature")
    if reader.at != len(raw):
        raise DecodeError(f"{len(raw) - reader.at} bytes follow the signature")
    return SignedTransaction(transaction, signature, digest)


def decode_base64(text: str) -> SignedTransaction:
    """Decode the base64 that travels in JSON-RPC; raises DecodeError."""
    try:
        raw = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise DecodeError(f"not base64: {error}") from error
    return decode_signed(raw)


def _read_transaction(reader: _Reader) -> Transaction:
    signer = reader.text()
    public_key = reader.ed25519(32, "key")
    nonce = reader.number(8)
    receiver = reader.text()
    block_hash = reader.take(32)
    count = reader.number(4)
    if count > 1000:
        raise DecodeError(f"{count} actions announced")
    actions = tuple(_read_action(reader) for _ in range(count))
    return Transaction(signer, public_key, nonce, receiver, block_hash, actions)


def _read_action(reader: _Reader) -> Action:
    tag = reader.number(1)
    match tag:
        case 2:
            method = reader.text()
            args = reader.take(reader.number(4))
            return FunctionCall(method, args, reader.number(8), reader.number(16))
        case 3:
            return Transfer(reader.number(16))
        case 5:
            public_key = reader.ed25519(32, "key")
            reader.number(8)  # the nonce given here is ignored: the chain sets it
            return AddKey(public_key, _read_permission(reader))
        case 6:
            return DeleteKey(reader.ed25519(32, "key"))
        case _:
            raise DecodeError(f"action tag {tag}; 2, 3, 5 and 6 are understood")


def _read_permission(reader: _Reader) -> FunctionCallPermission | None:
    tag = reader.number(1)
    if tag == 1:
        return None
    if tag != 0:
        raise DecodeError(f"permission tag {tag}; 0 and 1 are understood")
    allowance = reader.number(16) if reader.number(1) else None
    receiver = reader.text()
    names = tuple(reader.text() for _ in range(min(reader.number(4), 1000)))
    return FunctionCallPermission(allowance, receiver, names)


def _text(value: str) -> bytes:
    raw = value.encode()
    return struct.pack("<I", len(raw)) + raw


def _encode_permission(permission: FunctionCallPermission | None) -> bytes:
    if permission is None:
        return b"\x01"
    allowance = permission.allowance
    some = b"\x00" if allowance is None else b"\x01" + allowance.to_bytes(16, "little")
    names = b"".join(_text(name) for name in permission.method_names)
    count = struct.pack("<I", len(permission.method_names))
    return b"\x00" + some + _text(permission.receiver_id) + count + names


def _encode_action(action: Action) -> bytes:
    match action:
        case Transfer(deposit):
            return b"\x03" + deposit.to_bytes(16, "little")
        case FunctionCall(method, args, gas, deposit):
            body = _text(method) + struct.pack("<I", len(args)) + args
            return b"\x02" + body + gas.to_bytes(8, "little") + deposit.to_bytes(16, "little")
        case AddKey(public_key, permission):
            return b"\x05\x00" + public_key + bytes(8) + _encode_permission(permission)
        case DeleteKey(public_key):
            return b"\x06\x00" + public_key


def encode_transaction(transaction: Transaction) -> bytes:
    """Return the bytes whose sha256 is signed."""
    return b"".join(
        (
            _text(transaction.signer_id),
            b"\x00" + transaction.public_key,
            transaction.nonce.to_bytes(8, "little"),
            _text(transaction.receiver_id),
            transaction.block_hash,
            struct.pack("<I", len(transaction.actions)),
            *(_encode_action(action) for action in transaction.actions),
        )
    )


def sign(transaction: Transaction, key: KeyPair) -> bytes:
    """Return the signed transaction's bytes."""
    raw = encode_transaction(transaction)
    return raw + b"\x00" + key.sign(hashlib.sha256(raw).digest())


def show_action(action: Action) -> object:
    """Return the action as JSON-RPC shows it."""
    match action:
        case Transfer(deposit):
            return {"Transfer": {"deposit": str(deposit)}}
        case FunctionCall(method, args, gas, deposit):
            shown = base64.b64encode(args).decode()
            call = {"method_name": method, "args": shown, "gas": gas, "deposit": str(deposit)}
            return {"FunctionCall": call}
        case AddKey(public_key, permission):
            key = {"nonce": 0, "permission": show_permission(permission)}
            return {"AddKey": {"public_key": show_public(public_key), "access_key": key}}
        case DeleteKey(public_key):
            return {"DeleteKey": {"public_key": show_public(public_key)}}


def show_permission(permission: FunctionCallPermission | None) -> object:
    """Return an access key's permission as JSON-RPC shows it."""
    if permission is None:
        return "FullAccess"
    allowance = None if permission.allowance is None else str(permission.allowance)
    return {
        "FunctionCall": {
            "allowance": allowance,
            "receiver_id": permission.receiver_id,
            "method_names": list(permission.method_names),
        }
    }
