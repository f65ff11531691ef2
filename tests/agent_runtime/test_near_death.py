"""When a transaction may be called dead: only on the word of those who can know it."""

import sqlite3
from dataclasses import dataclass, field

import pytest
from nacl.signing import SigningKey

from agent_runtime.near import resolver
from agent_runtime.near.keys import Key
from agent_runtime.near.ledger import NewAttempt, State, TransactionLedger
from agent_runtime.near.resolver import Resolver
from agent_runtime.near.rpc import Block, RpcError
from agent_runtime.near.transaction import Signed

SIGNED_AT = 1_000_000
NONCE = 7
SIGNING = SigningKey(b"\x01" * 32)
KEY = Key(bytes(SIGNING.verify_key), SIGNING)


@dataclass
class Providers:
    """Providers that know nothing of the transaction, at a height and with a nonce."""

    height: int = SIGNED_AT + 10
    nonce: int = NONCE - 1
    nodes: tuple[str, ...] = ("first", "second")
    sent: list[str] = field(default_factory=list)

    async def call(self, node, method, params, deadline_seconds):
        if method == "send_tx":
            self.sent.append(params["signed_tx_base64"])
        raise RpcError("UNKNOWN_TRANSACTION", "", "UNKNOWN_TRANSACTION")

    async def final_block(self, node=None):
        return Block("B", self.height)

    async def key_nonce(self, account, public_key, node=None):
        return self.nonce


@pytest.fixture(autouse=True)
def pace(monkeypatch):
    monkeypatch.setattr(resolver, "PAUSE_SECONDS", 0.005)


@pytest.fixture
def ledger():
    found = TransactionLedger(sqlite3.connect(":memory:"))
    new = NewAttempt("pay-1", "ft_transfer", "a.near", KEY.text, NONCE, "B", SIGNED_AT)
    found.store(new, Signed("HASH", b"bytes"))
    found.mark("HASH", State.SENT)
    return found


async def end(providers, ledger):
    found = Resolver(providers, ledger, "a.near", KEY.text)
    return (await found.resolve(ledger.get("HASH"), 0.05)).attempt


@pytest.mark.parametrize(
    ("nonce", "state"),
    [(NONCE - 1, State.UNKNOWN), (NONCE, State.UNKNOWN), (NONCE + 1, State.DEAD)],
)
async def test_only_a_higher_final_nonce_overtakes(ledger, nonce, state):
    """Our own nonce, used up, says that our bytes may have used it."""
    assert (await end(Providers(nonce=nonce), ledger)).state is state
