"""The order of questions when a transaction seems to be gone, and the block that one names."""

import asyncio
import base64
import hashlib
import sqlite3

import base58
from nacl.signing import SigningKey

from agent_runtime.near.keys import Key
from agent_runtime.near.ledger import NewAttempt, State, TransactionLedger
from agent_runtime.near.rpc import Block, KeyAt, RpcError
from agent_runtime.near.sender import Sender
from agent_runtime.near.transaction import Signed, Transfer

SIGNING = SigningKey(b"\x01" * 32)
KEY = Key(bytes(SIGNING.verify_key), SIGNING)
OUTCOME = {
    "final_execution_status": "FINAL",
    "status": {"SuccessValue": ""},
    "transaction": {
        "hash": "HASH",
        "signer_id": "a.near",
        "public_key": KEY.text,
        "nonce": 7,
        "receiver_id": "usdc.near",
    },
    "transaction_outcome": {"block_hash": "B", "outcome": {"status": {"SuccessReceiptId": "r"}}},
    "receipts_outcome": [
        {
            "id": "r",
            "block_hash": "B",
            "outcome": {"executor_id": "usdc.near", "logs": [], "status": {"SuccessValue": ""}},
        }
    ],
}


class JustInTime:
    """Two providers whose chain takes the transaction right after it was first asked for."""

    nodes, archival = ("first", "second"), ()

    def __init__(self):
        self.landed = False

    async def call(self, node, method, params, deadline_seconds):
        if method == "send_tx":
            assert params["signed_tx_base64"] == "Ynl0ZXM="  # the same bytes, which is harmless
        elif not self.landed:
            self.landed = node == self.nodes[-1]
            raise RpcError("UNKNOWN_TRANSACTION", "", "UNKNOWN_TRANSACTION")
        return OUTCOME

    async def height_of(self, block_hash, node=None):
        return 100

    async def key_at(self, account, public_key, node):
        return KeyAt(7, Block("B", 101))


async def test_a_transaction_that_lands_between_two_questions_is_not_called_dead():
    ledger = TransactionLedger(sqlite3.connect(":memory:"))
    new = NewAttempt("pay-1", "ft_transfer", "a.near", KEY.text, 7, "B", 100)
    ledger.store(new, Signed("HASH", b"bytes"))
    ledger.mark("HASH", State.SENT)
    found = await Sender(JustInTime(), ledger, "a.near", KEY).settle("HASH")
    assert found.state is State.LANDED


class Choosy:
    """Two providers, of which the first calls the first block that it told too old."""

    nodes, archival = ("first", "second"), ()

    def __init__(self):
        self.told = 0
        self.sent = []
        self.final = {}

    async def call(self, node, method, params, deadline_seconds):
        if method == "send_tx":
            raw = base64.b64decode(params["signed_tx_base64"])
            named = next(n for n in range(9) if bytes([n]) * 32 in raw)
            self.sent.append((node, named))
            if (node, named) == ("first", 1):
                raise RpcError("INVALID_TRANSACTION", "Expired", "INVALID_TRANSACTION Expired")
            body = raw[:-65]
            nonce = int.from_bytes(body[43:51], "little")
            self.final[base58.b58encode(hashlib.sha256(body).digest()).decode()] = nonce
        tx_hash = params.get("tx_hash") or next(reversed(self.final))
        if tx_hash not in self.final:
            raise RpcError("UNKNOWN_TRANSACTION", "", "UNKNOWN_TRANSACTION")
        about = {**OUTCOME["transaction"], "hash": tx_hash, "nonce": self.final[tx_hash]}
        return {**OUTCOME, "transaction": about}

    async def final_block(self, node=None):
        self.told += 1
        return Block(base58.b58encode(bytes([self.told]) * 32).decode(), 100 + self.told)

    async def height_of(self, block_hash, node=None):
        return 101

    async def key_nonce(self, account, public_key, node=None, *, full=False):
        assert full  # what is signed here attaches money
        return 7

    async def key_at(self, account, public_key, node):
        return KeyAt(7, Block("B", 102))


async def test_a_block_that_was_refused_is_named_once_and_the_bytes_go_to_the_next_provider():
    """Those that waited for the refused one take another block, and keep it."""
    ledger = TransactionLedger(sqlite3.connect(":memory:"))
    chain = Choosy()
    out = Sender(chain, ledger, "a.near", KEY)
    sent = (out.submit(f"pay-{n}", "b.near", (Transfer(1),)) for n in range(3))
    assert {one.state for one in await asyncio.gather(*sent)} == {State.LANDED}
    assert chain.sent == [("first", 1), ("second", 1), ("first", 2), ("first", 2)]
