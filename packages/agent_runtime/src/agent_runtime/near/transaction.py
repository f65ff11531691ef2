"""Transaction bytes: borsh, little endian (rails §2.2).

The same inputs give the same bytes and the same hash, so the hash is known before anything is
sent, and sending the same bytes again has no second effect.
"""

import hashlib
import struct
from dataclasses import dataclass
from typing import TypeAlias

import base58

from agent_runtime.near.keys import Key

TERAGAS = 10**12


@dataclass(frozen=True)
class Call:
    """A function call.

    Attributes:
        method: name on the receiver.
        args: JSON bytes.
        gas: units of gas attached.
        deposit: yoctoNEAR attached.
    """

    method: str
    args: bytes
    gas: int
    deposit: int = 0


@dataclass(frozen=True)
class Transfer:
    """A plain transfer of `deposit` yoctoNEAR."""

    deposit: int


@dataclass(frozen=True)
class AddKey:
    """Give a key full access to the receiver, which must be the signer.

    Never a key that was there before: its counter would start again, and bytes that it signed
    could become valid a second time.
    """

    public: bytes


@dataclass(frozen=True)
class DeleteKey:
    """Take a key's access away: once final, nothing that it ever signed can execute any more."""

    public: bytes


Action: TypeAlias = Call | Transfer | AddKey | DeleteKey


@dataclass(frozen=True)
class Draft:
    """Everything that is signed, except the key.

    Attributes:
        signer: account that pays and acts.
        receiver: account acted upon.
        nonce: above any this key has used.
        block_hash: base58 of a recent final block.
        actions: applied together or not at all.
    """

    signer: str
    receiver: str
    nonce: int
    block_hash: str
    actions: tuple[Action, ...]


@dataclass(frozen=True)
class Signed:
    """A signed transaction, ready to store and to send.

    Attributes:
        tx_hash: base58 of its hash.
        raw: the signed bytes.
    """

    tx_hash: str
    raw: bytes


def sign(draft: Draft, key: Key) -> Signed:
    """Encode, hash and sign."""
    body = encode(draft, key.public)
    digest = hashlib.sha256(body).digest()
    return Signed(base58.b58encode(digest).decode(), body + b"\x00" + key.sign(digest))


def encode(draft: Draft, public: bytes) -> bytes:
    """The unsigned bytes."""
    return b"".join(
        (
            _string(draft.signer),
            b"\x00" + public,
            struct.pack("<Q", draft.nonce),
            _string(draft.receiver),
            base58.b58decode(draft.block_hash),
            struct.pack("<I", len(draft.actions)),
            *(_action(action) for action in draft.actions),
        )
    )


def _action(action: Action) -> bytes:
    match action:
        case Call(method, args, gas, deposit):
            return (
                b"\x02" + _string(method) + _bytes(args) + struct.pack("<Q", gas) + _u128(deposit)
            )
        case Transfer(deposit):
            return b"\x03" + _u128(deposit)
        case AddKey(public):  # the nonce is the chain's to set; 1 is full access
            return b"\x05\x00" + public + struct.pack("<Q", 0) + b"\x01"
        case DeleteKey(public):
            return b"\x06\x00" + public


def _string(text: str) -> bytes:
    return _bytes(text.encode())


def _bytes(data: bytes) -> bytes:
    return struct.pack("<I", len(data)) + data


def _u128(value: int) -> bytes:
    return value.to_bytes(16, "little")
