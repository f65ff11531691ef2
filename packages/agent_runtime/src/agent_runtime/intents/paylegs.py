"""Making the legs of a stored payment: one transaction each, one after another (rails §2.4).

Rules
- What may be signed is what `settle` calls due, asked anew before every signature: never a leg
  that may have landed, and none while another leg is open.
- Of a payment of which nothing is paid, an attempt is followed by another only if it was proven
  dead at once: its caller can still be told that nothing moved.
- Once a leg is paid, the payment is gone on with until all are, or until a person must look. What
  can change on the chain is asked again before a leg is signed anew; a no there costs no attempt,
  and the payment waits, open.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from agent_runtime.claims import Claims
from agent_runtime.errors import Busy, RailError, Refusal
from agent_runtime.handover.bonds import Bonds
from agent_runtime.intents.payfunds import Funds
from agent_runtime.intents.payplan import PolicyBlock, legs_of
from agent_runtime.near.evidence import Evidence
from agent_runtime.near.ledger import OPEN, Attempt, State, TransactionLedger
from agent_runtime.near.sender import Sender
from agent_runtime.near.token import Transfer, batch
from agent_runtime.parsing import Token
from agent_runtime.payments import Leg, Payment, PaymentLedger, PaymentState, Plan
from agent_runtime.settings import Settings
from agent_runtime.settlement import Settled, settle

DECIDE_SECONDS = 8.0
AGAIN_SECONDS = 6.0
LEGS_SECONDS = 20.0
"""After which one go begins no further leg; the next round of settling goes on."""
NOTHING_MOVED = (PaymentState.FAILED, PaymentState.DECLINED)


class Legs:
    """The rail `near`: signs and sends legs, and brings payments to what became of them.

    The caller sees to it that one payment is made by one task at a time.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        sender: Sender,
        payments: PaymentLedger,
        transactions: TransactionLedger,
        claims: Claims,
        bonds: Bonds,
        funds: Funds,
    ) -> None:
        self._settings = settings
        self._sender = sender
        self._payments = payments
        self._transactions = transactions
        self._claims = claims
        self._bonds = bonds
        self._funds = funds

    def legs_of(self, plan: Plan) -> tuple[Leg, ...]:
        """What is signed for a plan."""
        contract = self._settings.ft_contracts[plan.token].contract
        return legs_of(plan, contract, self._settings.recipients_each)

    async def check(self, plan: Plan) -> None:
        """See that the chain would carry a plan out.

        Raises:
            Refusal: it would not; nothing was sent.
            RailError: the chain could not be read.
        """
        transfers = [(share.account, share.units) for share in plan.paid]
        await self._funds.check(transfers, self._settings.ft_contracts[plan.token])

    async def check_again(self, payment: Payment) -> None:
        """See that a payment that ended with nothing moved can be signed once more.

        Raises:
            Refusal: it cannot; nothing was sent.
            RailError: the chain could not be read.
        """
        found = self.settled(payment)
        if not found.idle:
            raise Refusal("an older build planned it and kept no leg; ask for a new payment")
        if found.due is None:
            made = max(leg.made for leg in found.legs)
            raise Refusal(f"signed {made} times already, the most there is; nothing moved")
        await self.check_chain(payment, found.idle)

    async def look(self, payment: Payment) -> Payment:
        """Look once for the end of an open payment; one that is half made is gone on with."""
        for attempt in self._transactions.of(payment.id):
            if attempt.state in OPEN:
                await self._sender.settle(attempt.tx_hash)
        if self.settled(payment).half_made:
            return await self.make(payment)
        return self.adopt(payment)

    async def make(self, payment: Payment) -> Payment:
        """Sign and send what is due, one leg after another, as far as that goes for now."""
        loop = asyncio.get_running_loop()
        began, last = loop.time(), None
        found = self.settled(payment)
        while found.due is not None:
            try:
                if found.half_made and (last is None or last.state is not State.LANDED):
                    await self._check_rest(payment, found)
                last = await self._submit(payment, found.due)
            except Busy as busy:
                return self._not_signed(payment, PaymentState.DECLINED, str(busy))
            except (Refusal, RailError) as error:  # by `submit`'s promise, nothing was signed
                return self._not_signed(payment, PaymentState.FAILED, str(error))
            found = self.settled(payment)
            if not _goes_on(found, last, loop.time() - began):
                break
        return self.adopt(payment)

    def adopt(self, payment: Payment, waits_for: str = "") -> Payment:
        """Bring a payment to what its transactions and their evidence say.

        Args:
            payment: open.
            waits_for: why it is not gone on with, if it is half made.
        """
        found = self.settled(payment)
        if found.half_made and waits_for:
            found = replace(found, detail=f"{found.detail}; {waits_for}")
        not_over = found.state in NOTHING_MOVED or found.half_made
        if not_over and (holder := self._bonds.holder(payment.id)):
            found = replace(found, state=PaymentState.UNKNOWN, detail=holder)
        return self._payments.end(payment, found.state, found.tx_hash, found.detail)

    def settled(self, payment: Payment) -> Settled:
        """Where a payment stands by its transactions; stores nothing."""
        attempts = self._transactions.of(payment.id)
        legs, evidence = self._payments.legs(payment.id), self.evidence(attempts)
        return settle(payment.id, legs, attempts, evidence)

    def evidence(self, attempts: Sequence[Attempt]) -> dict[str, Evidence]:
        """What proves the ends of transactions, by hash."""
        told = ((one.tx_hash, self._transactions.evidence(one.tx_hash)) for one in attempts)
        return {tx_hash: found for tx_hash, found in told if found is not None}

    def check_still_ours(self, payment: Payment) -> None:
        """See that nothing but the chain could speak against signing a stored payment.

        Raises:
            Refusal: another plane could sign it, or what it redeems was given to another payment.
            PolicyBlock: its token is not allowed any more.
        """
        if holder := self._bonds.holder(payment.id):
            raise Refusal(f"{holder}; nothing was sent")
        if payment.plan.token not in self._settings.allowed_tokens:
            raise PolicyBlock([f"token {payment.plan.token} is not allowed any more"])
        self._claims.check_still_of(payment.id)

    async def check_chain(self, payment: Payment, legs: Sequence[Leg]) -> None:
        """See that these legs can succeed now.

        Raises:
            Refusal: one cannot; nothing was sent.
            RailError: the chain could not be read in time.
        """
        token = Token(payment.plan.token, legs[0].contract, payment.plan.decimals)
        transfers = [transfer for leg in legs for transfer in leg.transfers]
        try:
            async with asyncio.timeout(DECIDE_SECONDS):
                await self._funds.check(transfers, token, anew=True)
        except TimeoutError as error:
            raise RailError("near", "timed out; nothing was sent") from error

    async def _check_rest(self, payment: Payment, found: Settled) -> None:
        self.check_still_ours(payment)
        await self.check_chain(payment, found.idle)

    async def _submit(self, payment: Payment, leg: Leg) -> Attempt:
        transfers = [Transfer(account, units) for account, units in leg.transfers]
        actions = batch(transfers, payment.id, wrap=leg.wrap)
        return await self._sender.submit(payment.id, leg.contract, actions, leg.number)

    def _not_signed(self, payment: Payment, state: PaymentState, said: str) -> Payment:
        """End a payment whose newest attempt was not signed; what earlier ones did comes first."""
        if self._transactions.of(payment.id):
            return self.adopt(payment, said)
        return self._payments.end(payment, state, "", said)


def _goes_on(found: Settled, last: Attempt, seconds: float) -> bool:
    """Whether the due leg is signed in the same go."""
    if found.half_made:
        return seconds <= LEGS_SECONDS
    return last.state is State.DEAD and seconds <= AGAIN_SECONDS
