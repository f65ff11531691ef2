"""Signing and sending on this world's own chain: for Ping's treasury and for whoever needs it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sandbox.near import state
from sandbox.near.borsh import Action, FunctionCall, Transaction, decode_signed, sign
from sandbox.near.chain import Chain
from sandbox.near.keys import KeyPair

GAS_PER_TRANSFER: Final = 10 * 10**12


@dataclass(slots=True)
class Payer:
    """An account that pays; nonces go upward from the chain's and from its own last one."""

    chain: Chain
    account: str
    key: KeyPair
    _last_nonce: int = 0

    def send(self, receiver: str, actions: Sequence[Action]) -> str:
        """Sign, submit and return the transaction hash; raises InvalidTxError."""
        signed = decode_signed(self.sign(receiver, actions))
        self.chain.submit(signed)
        return signed.hash

    def sign(self, receiver: str, actions: Sequence[Action], *, nonce: int | None = None) -> bytes:
        """Return the bytes of a transaction on the newest final block."""
        held = state.access_key(self.chain.store, self.account, self.key.public_raw)
        following = max(0 if held is None else held.nonce, self._last_nonce) + 1
        chosen = following if nonce is None else nonce
        self._last_nonce = max(self._last_nonce, chosen)
        transaction = Transaction(
            signer_id=self.account,
            public_key=self.key.public_raw,
            nonce=chosen,
            receiver_id=receiver,
            block_hash=self.chain.final.digest,
            actions=tuple(actions),
        )
        return sign(transaction, self.key)


def ft_transfer(receiver: str, amount: int, memo: str | None = None) -> FunctionCall:
    """Return the action that moves a token."""
    args: dict[str, str] = {"receiver_id": receiver, "amount": str(amount)}
    if memo is not None:
        args["memo"] = memo
    return FunctionCall("ft_transfer", json.dumps(args).encode(), GAS_PER_TRANSFER, 1)
