"""Registration as a worker of the split contract, with what a guest agent gave or with the truth.

The contract stores the attestation and looks at nothing of it. So it is a public statement, and it
says what is so: a fresh quote over our account and key where a guest agent gives one, the text of
the operator where one is configured, and otherwise that there is none.
"""

import hashlib
from typing import Protocol

from agent_runtime.dstack import Evidence, GuestAgent
from agent_runtime.errors import RailError, Refusal
from agent_runtime.locks import NamedLocks
from agent_runtime.near import contract as calls
from agent_runtime.near.contract import SplitContract
from agent_runtime.near.ledger import OPEN, Attempt, State
from agent_runtime.near.sender import Sender
from agent_runtime.near.transaction import Call
from agent_runtime.settings import Settings

TAG = b"gitsplits-worker-v1"
UNATTESTED = "unattested: no TEE guest agent"
SILENT = "unattested: the TEE guest agent gave no quote"


class Quoting(Protocol):
    """Whoever gives quotes."""

    async def quote(self, report_data: bytes) -> Evidence:
        """A fresh quote over 64 bytes; raises RailError."""
        ...


class Worker:
    """Our account as a worker of the contract, and the calls it makes there."""

    def __init__(
        self,
        settings: Settings,
        contract: SplitContract,
        sender: Sender,
        agent: GuestAgent | Quoting | None,
    ) -> None:
        self._settings = settings
        self._contract = contract
        self._sender = sender
        self._agent = agent
        self._one = NamedLocks()
        self._registered = False

    @property
    def account(self) -> str:
        """The account that acts."""
        return self._sender.account

    async def register(self) -> None:
        """See that our account may change splits; the contract never takes that right away.

        Raises:
            Refusal: the contract refused, or the outcome is not known yet.
            RailError: the chain or the guest agent could not be asked.
        """
        async with self._one.alone("worker"):
            if not self._registered and not await self._contract.is_worker(self.account):
                quote, endorsements = await self._attestation()
                call = calls.register_worker(self._settings.worker_code_hash, quote, endorsements)
                landed(await self.submit("worker", call), call.method)
            self._registered = True

    async def submit(self, owner: str, call: Call) -> Attempt:
        """Make one call of the contract; see `Sender.submit`."""
        return await self._sender.submit(owner, self._contract.account, [call])

    async def _attestation(self) -> tuple[str, str]:
        settings = self._settings
        if settings.worker_quote:
            return settings.worker_quote, settings.worker_endorsements
        if self._agent is None:
            return UNATTESTED, UNATTESTED
        said = f"{self.account}\n{settings.near_contract}\n{settings.worker_code_hash}".encode()
        try:
            found = await self._agent.quote(hashlib.sha512(TAG + b"\n" + said).digest())
        except RailError:
            if settings.attested:  # it can quote, and what is registered stays
                raise
            return SILENT, SILENT
        return found.quote.hex(), found.event_log


def landed(attempt: Attempt, method: str) -> str:
    """What a call returned.

    Raises:
        Refusal: it failed, or its outcome is not known yet.
    """
    if attempt.state is State.LANDED:
        return attempt.detail
    word = "outcome unknown" if attempt.state in OPEN else "failed"
    raise Refusal(f"{method} {word}: {attempt.detail} (transaction {attempt.tx_hash})")
