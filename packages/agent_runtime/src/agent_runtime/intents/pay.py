"""`pay`: distribute money over a split by one signed transaction (contract §6, §7; rails §2.4).

Everything that can say no is asked before the payment is stored. After that, the only answers are
paid, failed with nothing moved, unknown, or that a person must look; unknown is resolved by the
transaction's hash and by nothing else.
"""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Sequence
from dataclasses import asdict, replace
from typing import Any

from agent_runtime import amounts
from agent_runtime.claims import Claims
from agent_runtime.errors import Busy, RailError, Refusal
from agent_runtime.flight import Flight
from agent_runtime.grammar import Pay
from agent_runtime.handover.bonds import Bonds
from agent_runtime.intents import paytexts
from agent_runtime.intents.payplan import PolicyBlock, check_policy, make_plan
from agent_runtime.intents.screen import Screen
from agent_runtime.limits import Limits
from agent_runtime.near.contract import SplitContract
from agent_runtime.near.evidence import Evidence
from agent_runtime.near.ledger import Attempt, State, TransactionLedger
from agent_runtime.near.rpc import Rpc
from agent_runtime.near.sender import Sender
from agent_runtime.near.token import TokenContract, Transfer, batch
from agent_runtime.parsing import Token
from agent_runtime.payment_document import payment_document
from agent_runtime.payments import Leg, Payment, PaymentLedger, PaymentState, Plan
from agent_runtime.requests import Reply
from agent_runtime.settings import Settings
from agent_runtime.settlement import settle

DECIDE_SECONDS = 8.0
AGAIN_SECONDS = 6.0
ATTEMPTS_MAX = 3
NOTHING_MOVED = (PaymentState.FAILED, PaymentState.DECLINED)
FEE_RESERVE = 10**23  # 0.1 NEAR stays for gas when NEAR itself is paid


class Payer:
    """Pays, and finds out what became of payments."""

    def __init__(
        self,
        *,
        settings: Settings,
        rpc: Rpc,
        contract: SplitContract,
        sender: Sender,
        payments: PaymentLedger,
        transactions: TransactionLedger,
        screen: Screen,
        limits: Limits,
        claims: Claims,
        bonds: Bonds,
    ) -> None:
        self._settings = settings
        self._rpc = rpc
        self._contract = contract
        self._sender = sender
        self._payments = payments
        self._transactions = transactions
        self._screen = screen
        self._limits = limits
        self._claims = claims
        self._bonds = bonds
        self._in_flight: set[str] = set()
        self._joined: Flight[Reply] = Flight()
        self._contracts: dict[str, TokenContract] = {}

    async def pay(self, asked: Pay, payment_id: str, author: str, origin: str = "") -> Reply:
        """Carry out one payment, once; the reply names its id as soon as it is stored.

        While a payment of the same origin is open, this joins it: the answer is that payment's.

        Args:
            asked: what was asked for.
            payment_id: of the payment, if a new one is made.
            author: the caller's own id.
            origin: from `origin_of`, if the caller gave the request no name of its own.
        """
        if not origin:
            return await self._pay(asked, payment_id, author, "")

        async def join_or_pay() -> Reply:
            earlier = self._payments.open_from(origin)
            if earlier is not None:
                return await self.revisit(earlier)
            return await self._pay(asked, payment_id, author, origin)

        return await self._joined.share(origin, join_or_pay)

    async def _pay(self, asked: Pay, payment_id: str, author: str, origin: str) -> Reply:
        found = await self.propose(asked)
        if isinstance(found, Reply):
            return found
        return await self.execute(found, payment_id, author, origin)

    async def propose(self, asked: Pay) -> Plan | Reply:
        """What would be paid now, with nothing stored; or the answer that says why nothing is."""
        return await self._proposed(self._decide(asked))

    async def propose_owed(self, plan: Plan) -> Plan | Reply:
        """The same for a plan whose shares are decided already; the chain may still say no."""
        return await self._proposed(self._checked(plan))

    async def _proposed(self, deciding: Awaitable[Plan]) -> Plan | Reply:
        try:
            async with asyncio.timeout(DECIDE_SECONDS):
                return await deciding
        except PolicyBlock as block:
            return Reply(block.answer, "pay")
        except Refusal as refusal:
            return Reply(paytexts.refused(str(refusal)), "pay")
        except RailError as error:
            return Reply(paytexts.refused(f"{error}; nothing was sent"), "pay")
        except TimeoutError:
            return Reply(paytexts.refused("near: timed out; nothing was sent"), "pay")

    async def execute(self, plan: Plan, payment_id: str, author: str, origin: str = "") -> Reply:
        """Store a proposed payment under this id and make it.

        Args:
            plan: from `propose`.
            payment_id: new.
            author: the caller's own id.
            origin: digest of who asked for what, so that the same words can find it while it is
                open; empty if the caller named the payment itself.

        Raises:
            sqlite3.IntegrityError: this id is stored already.
        """
        leg = _leg_of(plan, self._settings.ft_contracts[plan.token].contract)
        try:
            self._limits.check(plan)  # once more: nothing comes between this and the storing
        except PolicyBlock as block:
            return Reply(block.answer, "pay")
        payment = self._payments.plan(payment_id, author, plan, [leg], origin)
        return await self._make(payment, leg)

    async def _make(self, payment: Payment, leg: Leg) -> Reply:
        self._in_flight.add(payment.id)
        try:
            return paytexts.reply(await self._send(payment, leg))
        finally:
            self._in_flight.discard(payment.id)

    async def revisit(self, payment: Payment) -> Reply:
        """Answer for a stored payment, after one more look if its end is not known."""
        if payment.open and payment.id not in self._in_flight:
            for attempt in self._transactions.of(payment.id)[-1:]:
                await self._sender.settle(attempt.tx_hash)
            payment = self._adopt(payment)
        return paytexts.reply(payment)

    async def retry(self, payment_id: str) -> Reply:
        """Sign a payment anew, under its own id, that has ended with nothing moved.

        The same legs, under a new nonce, at most `ATTEMPTS_MAX` times in all. A payment in another
        state is answered as it stands.
        """
        payment = self._payments.get(payment_id)
        if payment is None:
            return Reply(paytexts.refused(f"no payment {payment_id} is stored here"), "pay")
        if payment_id in self._in_flight or payment.state not in NOTHING_MOVED:
            return paytexts.reply(payment)
        self._in_flight.add(payment_id)  # before the first wait: two retries are one
        try:
            leg = self._leg_to_retry(payment)
            token = Token(payment.plan.token, leg.contract, payment.plan.decimals)
            async with asyncio.timeout(DECIDE_SECONDS):
                await self._check_chain(payment.plan, token)
            self._limits.check(payment.plan)
            self._claims.check_still_of(payment.id)
            payment = self._payments.reopen(payment)
            return paytexts.reply(await self._send(payment, leg))
        except PolicyBlock as block:
            return Reply(block.answer, "pay", payment_id)
        except (Refusal, RailError) as error:
            return Reply(paytexts.refused(f"{error}; payment id {payment_id}"), "pay", payment_id)
        except TimeoutError:
            said = f"near: timed out; nothing was sent; payment id {payment_id}"
            return Reply(paytexts.refused(said), "pay", payment_id)
        finally:
            self._in_flight.discard(payment_id)

    def _leg_to_retry(self, payment: Payment) -> Leg:
        legs, made = self._payments.legs(payment.id), self._transactions.of(payment.id)
        if len(legs) != 1:
            raise Refusal("an older build planned it and kept no leg; ask for a new payment")
        if len(made) >= ATTEMPTS_MAX:
            raise Refusal(f"signed {len(made)} times already, the most there is; nothing moved")
        if holder := self._bonds.holder(payment.id):
            raise Refusal(f"{holder}; nothing was sent")
        if payment.plan.token not in self._settings.allowed_tokens:
            raise PolicyBlock([f"token {payment.plan.token} is not allowed any more"])
        return legs[0]

    def document(self, payment_id: str) -> dict[str, Any] | None:
        """All that is known of a payment, for `GET /payments/{id}`; None for an unknown id."""
        payment = self._payments.get(payment_id)
        if payment is None:
            return None
        attempts = self._transactions.all_of(payment_id)
        legs, network = self._payments.legs(payment_id), self._settings.near_network
        return payment_document(payment, legs, attempts, self._evidence(attempts), network)

    def adopt_all(self) -> list[Payment]:
        """Bring every open payment to the state of its transaction; those still open afterwards.

        Asks nobody: the sender settles transactions, this reads what it found. A payment that a
        request is working on right now is left to that request.
        """
        idle = [payment for payment in self._payments.open() if payment.id not in self._in_flight]
        ends = [self._adopt(payment) for payment in idle]
        return [payment for payment in ends if payment.state is PaymentState.UNKNOWN]

    async def _decide(self, asked: Pay) -> Plan:
        token, units = check_policy(asked, self._settings)
        split = await self._contract.split_of(asked.repo.url)
        if split is None:
            raise Refusal(f"No split found for {asked.repo.url}")
        wallets = await self._contract.wallets_of([row.login for row in split.rows])
        found = await self._screen.sort(asked.repo.url, split, wallets)
        plan = make_plan(asked, token, units, split, found)
        return await self._checked(plan)

    async def _checked(self, plan: Plan) -> Plan:
        self._limits.check(plan)
        await self._check_chain(plan, self._settings.ft_contracts[plan.token])
        return plan

    async def _check_chain(self, plan: Plan, token: Token) -> None:
        """See that every transfer of the batch can succeed, before anything is signed."""
        contract = self._token_contract(token)
        accounts = [share.account for share in plan.paid]
        if self._sender.account in accounts:
            raise Refusal("the paying account is among the recipients; nothing was sent")
        strangers, held = await asyncio.gather(
            contract.unregistered([*accounts, self._sender.account]), self._held(token, contract)
        )
        if strangers:
            raise Refusal(
                f"not registered with {token.contract}: {', '.join(strangers)};"
                " each needs a storage_deposit there first; nothing was sent"
            )
        if held < plan.total:
            have, need = (amounts.to_text(n, token.decimals) for n in (held, plan.total))
            raise Refusal(
                f"the account holds {have} {token.symbol}, needs {need}; nothing was sent"
            )

    def _token_contract(self, token: Token) -> TokenContract:
        return self._contracts.setdefault(token.contract, TokenContract(self._rpc, token))

    async def _held(self, token: Token, contract: TokenContract) -> int:
        if token.symbol != "NEAR":
            return await contract.balance(self._sender.account)
        found = await self._rpc.account(self._sender.account)
        return max(0, int(found["amount"]) - FEE_RESERVE)

    async def _send(self, payment: Payment, leg: Leg) -> Payment:
        """Sign and send the leg; again, with a new nonce, if it was proven dead at once."""
        transfers = [Transfer(account, units) for account, units in leg.transfers]
        actions = batch(transfers, payment.id, wrap=leg.wrap)
        loop = asyncio.get_running_loop()
        until = loop.time() + AGAIN_SECONDS
        while True:
            try:
                attempt = await self._sender.submit(payment.id, leg.contract, actions, leg.number)
            except Busy as busy:
                return self._not_sent(payment, PaymentState.DECLINED, str(busy))
            except (Refusal, RailError) as error:  # by `submit`'s promise, nothing was signed
                return self._not_sent(payment, PaymentState.FAILED, str(error))
            made = len(self._transactions.of(payment.id))
            if attempt.state is not State.DEAD or made >= ATTEMPTS_MAX or loop.time() > until:
                return self._adopt(payment)

    def _not_sent(self, payment: Payment, state: PaymentState, said: str) -> Payment:
        """End a payment whose newest attempt was not signed; what earlier ones did comes first."""
        if self._transactions.of(payment.id):
            return self._adopt(payment)
        return self._payments.end(payment, state, "", said)

    def _adopt(self, payment: Payment) -> Payment:
        """Bring a payment to what its transactions and their evidence say."""
        attempts = self._transactions.of(payment.id)
        legs, evidence = self._payments.legs(payment.id), self._evidence(attempts)
        found = settle(payment.id, legs, attempts, evidence)
        if found.state in NOTHING_MOVED and (holder := self._bonds.holder(payment.id)):
            found = replace(found, state=PaymentState.UNKNOWN, detail=holder)
        return self._payments.end(payment, found.state, found.tx_hash, found.detail)

    def _evidence(self, attempts: Sequence[Attempt]) -> dict[str, Evidence]:
        told = ((one.tx_hash, self._transactions.evidence(one.tx_hash)) for one in attempts)
        return {tx_hash: found for tx_hash, found in told if found is not None}


def origin_of(channel: str, author: str, asked: Pay) -> str:
    """A digest of who asks for what: the same for the same payment, however it is spelled."""
    whole, _, part = asked.amount.partition(".")
    amount = f"{whole.lstrip('0')}.{part.rstrip('0')}"
    repo = replace(asked.repo, owner=asked.repo.owner.lower(), name=asked.repo.name.lower())
    meant = replace(asked, amount=amount, repo=repo)
    text = json.dumps([channel, author, asdict(meant)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _leg_of(plan: Plan, contract: str) -> Leg:
    transfers = tuple((share.account, share.units) for share in plan.paid)
    wrap = plan.token == "NEAR"  # noqa: S105 - a token's symbol
    return Leg(1, contract, wrap, transfers)
