"""`pay`: distribute money over a split by one signed transaction (contract §6, §7; rails §2.4).

Everything that can say no is asked before the payment is stored. After that, the only answers are
paid, failed with nothing moved, or unknown; unknown is resolved by the transaction's hash and by
nothing else.
"""

import asyncio

from agent_runtime import amounts
from agent_runtime.errors import Busy, RailError, Refusal
from agent_runtime.grammar import Pay
from agent_runtime.intents import paytexts
from agent_runtime.intents.payplan import PolicyBlock, check_policy, make_plan, sort_rows
from agent_runtime.near.contract import SplitContract
from agent_runtime.near.ledger import Attempt, State, TransactionLedger
from agent_runtime.near.rpc import Rpc
from agent_runtime.near.sender import Sender
from agent_runtime.near.token import TokenContract, Transfer, batch
from agent_runtime.parsing import Token
from agent_runtime.payments import Payment, PaymentLedger, PaymentState, Plan
from agent_runtime.requests import Reply
from agent_runtime.settings import Settings

DECIDE_SECONDS = 8.0
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
    ) -> None:
        self._settings = settings
        self._rpc = rpc
        self._contract = contract
        self._sender = sender
        self._payments = payments
        self._transactions = transactions
        self._in_flight: set[str] = set()
        self._contracts: dict[str, TokenContract] = {}

    async def pay(self, asked: Pay, payment_id: str, author: str) -> Reply:
        """Carry out one payment, once; the reply names its id as soon as it is stored."""
        try:
            async with asyncio.timeout(DECIDE_SECONDS):
                plan, token = await self._decide(asked)
        except PolicyBlock as block:
            return Reply(f"🛑 Policy blocked pay: {block}", "pay")
        except Refusal as refusal:
            return Reply(paytexts.refused(str(refusal)), "pay")
        except RailError as error:
            return Reply(paytexts.refused(f"{error}; nothing was sent"), "pay")
        except TimeoutError:
            return Reply(paytexts.refused("near: timed out; nothing was sent"), "pay")
        payment = self._payments.plan(payment_id, author, plan)
        self._in_flight.add(payment_id)
        try:
            return paytexts.reply(await self._send(payment, token))
        finally:
            self._in_flight.discard(payment_id)

    async def revisit(self, payment: Payment) -> Reply:
        """Answer for a stored payment, after one more look if its end is not known."""
        if payment.state in {PaymentState.PLANNED, PaymentState.UNKNOWN}:
            for attempt in self._transactions.of(payment.id)[-1:]:
                await self._sender.settle(attempt.tx_hash)
            payment = self._adopt(payment)
        return paytexts.reply(payment)

    def adopt_all(self) -> list[Payment]:
        """Bring every open payment to the state of its transaction; those still open afterwards.

        Asks nobody: the sender settles transactions, this reads what it found. A payment that a
        request is working on right now is left to that request.
        """
        idle = [payment for payment in self._payments.open() if payment.id not in self._in_flight]
        ends = [self._adopt(payment) for payment in idle]
        return [payment for payment in ends if payment.state is PaymentState.UNKNOWN]

    async def _decide(self, asked: Pay) -> tuple[Plan, Token]:
        token, units = check_policy(asked, self._settings)
        split = await self._contract.split_of(asked.repo.url)
        if split is None:
            raise Refusal(f"No split found for {asked.repo.url}")
        wallets = await self._contract.wallets_of([row.login for row in split.rows])
        plan = make_plan(asked, token, units, split, sort_rows(split, wallets))
        await self._check_chain(plan, token)
        return plan, token

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

    async def _send(self, payment: Payment, token: Token) -> Payment:
        transfers = [Transfer(share.account, share.units) for share in payment.plan.paid]
        actions = batch(transfers, payment.id, wrap=token.symbol == "NEAR")
        try:
            attempt = await self._sender.submit(payment.id, token.contract, actions)
        except Busy as busy:
            return self._payments.end(payment, PaymentState.DECLINED, "", str(busy))
        except (Refusal, RailError) as error:  # by `submit`'s promise, nothing was signed
            return self._payments.end(payment, PaymentState.FAILED, "", str(error))
        return self._follow(payment, attempt)

    def _adopt(self, payment: Payment) -> Payment:
        attempts = self._transactions.of(payment.id)
        if attempts:
            return self._follow(payment, attempts[-1])
        return self._payments.end(
            payment, PaymentState.FAILED, "", "stopped before anything was signed"
        )

    def _follow(self, payment: Payment, attempt: Attempt) -> Payment:
        state = _state_after(attempt)
        detail = "" if state is PaymentState.PAID else attempt.detail
        return self._payments.end(payment, state, attempt.tx_hash, detail)


def _state_after(attempt: Attempt) -> PaymentState:
    match attempt.state:
        case State.LANDED:
            return PaymentState.PAID
        case State.REVERTED | State.REFUSED | State.DEAD:
            return PaymentState.FAILED
        case State.SIGNED | State.SENT | State.UNKNOWN:
            return PaymentState.UNKNOWN
