"""The one place where the parts are put together."""

import sqlite3
from dataclasses import dataclass

from agent_runtime import wire
from agent_runtime.attestation.attestor import Attestor
from agent_runtime.canary import Canary, Probes
from agent_runtime.carrying import Carrier
from agent_runtime.claims import Claims
from agent_runtime.connections import Connections
from agent_runtime.crew import Crew, OnChain
from agent_runtime.dstack import GuestAgent, find_agent
from agent_runtime.errors import SettingsError
from agent_runtime.events import EventLog
from agent_runtime.funding.book import FundingBook
from agent_runtime.funding.desk import FundingDesk
from agent_runtime.funding.witness import Witness
from agent_runtime.handover.bonds import Bonds
from agent_runtime.health import Health
from agent_runtime.housekeeping import Housekeeper
from agent_runtime.intents.analyze import Analyst
from agent_runtime.intents.create import Splitter
from agent_runtime.intents.pay import Payer
from agent_runtime.intents.planner import Planner
from agent_runtime.intents.rating import Rater
from agent_runtime.intents.redeem import Redeemer
from agent_runtime.intents.screen import Screen
from agent_runtime.intents.verify import Verifier
from agent_runtime.intents.worker import Worker
from agent_runtime.limits import Limits
from agent_runtime.modes import Execution, Modes
from agent_runtime.near.contract import SplitContract
from agent_runtime.near.keys import Key
from agent_runtime.near.ledger import TransactionLedger
from agent_runtime.near.rpc import Rpc
from agent_runtime.near.sender import Sender
from agent_runtime.payments import PaymentLedger
from agent_runtime.payouts.chain import Chain
from agent_runtime.payouts.nudges import Nudges
from agent_runtime.payouts.orders import OrderBook
from agent_runtime.payouts.pingpay import PingPayouts
from agent_runtime.payouts.rail import PingRail
from agent_runtime.people import People
from agent_runtime.plans import PlanStore
from agent_runtime.process import Processor
from agent_runtime.proofs import Proofs
from agent_runtime.pulse import Pulse
from agent_runtime.rails.eigenai import EigenAi, address_of
from agent_runtime.rails.github import GitHub
from agent_runtime.rails.hot import Hot
from agent_runtime.rails.neynar import Neynar
from agent_runtime.rails.ping import Ping
from agent_runtime.rails.reputation import Reputations
from agent_runtime.receipts.book import ReceiptBook
from agent_runtime.receipts.desk import Desk
from agent_runtime.requests import RequestLedger
from agent_runtime.settings import Settings
from agent_runtime.settings_payout import PINGPAY
from agent_runtime.store import open_store
from agent_runtime.tee import TeeWatch
from agent_runtime.telemetry import Telemetry
from agent_runtime.tracing import tracing
from agent_runtime.underway import UnderWay
from agent_runtime.webhooks.hooks import Hooks, make_hooks


@dataclass(frozen=True)
class Service:
    """Everything that lives as long as the process.

    `sender`, `payer` and `payouts` need NEAR, `agent` a guest agent, `attestor` AGENT_TLS=attested.
    `signer_key` is the public half of NEAR_PRIVATE_KEY; empty without one.
    """

    settings: Settings
    client: Connections
    db: sqlite3.Connection
    health: Health
    canary: Canary
    hooks: Hooks
    processor: Processor
    desk: Desk
    carrier: Carrier
    fundings: FundingDesk
    eigenai: EigenAi
    tee: TeeWatch
    agent: GuestAgent | None
    attestor: Attestor | None
    sender: Sender | None
    payer: Payer | None
    payouts: PingPayouts | None
    nudges: Nudges
    payments: PaymentLedger
    telemetry: Telemetry
    housekeeper: Housekeeper
    signer_key: str

    async def aclose(self) -> None:
        """Let go of connections, of the store, and of spans that are not exported yet."""
        await self.telemetry.tracing.aclose()
        await self.client.aclose()
        if self.agent is not None:
            await self.agent.aclose()
        self.db.close()


def build(settings: Settings) -> Service:
    """Put the parts together; nothing is asked or sent yet.

    Raises:
        SettingsError: two halves of a key do not belong together, or the store cannot be opened.
    """
    key = _key(settings)
    _check_grant_wallet(settings)
    db = _store(settings)
    telemetry = Telemetry(tracing(settings))
    client = wire.new_client(watch=telemetry)
    rpc = Rpc(client, settings.near_nodes, settings.near_archival, settings.near_headers)
    github, eigenai = _github(client, settings), EigenAi(client, settings)
    agent = find_agent(settings.dstack_endpoint, needed=settings.attested)
    tee = TeeWatch(agent)
    books = _books(db, settings)
    contract = SplitContract(rpc, settings.near_contract) if settings.near_contract else None
    sender = Sender(rpc, books.transactions, settings.near_account, key) if key else None
    reputations, ping = Reputations(client, settings), Ping(client, settings)
    chain = None
    if contract and sender:
        rails = _Rails(github, rpc, contract, sender, agent, reputations, ping)
        chain = _on_chain(settings, rails, books)
    analyst = Analyst(settings, github, eigenai, contract, tee)
    rater = Rater(settings, github, reputations)
    neynar = Neynar(client, settings)
    hot, nudges = Hot(client, settings), Nudges(books.orders, books.payments)
    probes = Probes(github, rpc, ping, hot, eigenai, neynar, key.text if key else "")
    canary = Canary(settings, probes, books.events)
    crew = Crew(analyst, rater, books.modes, books.claims, contract, chain)
    processor = Processor(settings, crew, books.payments, RequestLedger(db), books.events)
    receipts = ReceiptBook(db, settings.plane_id, settings.build)
    payer = chain.payer if chain else None
    desk = Desk(processor, receipts, tee, payer, settings.receipt_base)
    return Service(
        settings,
        client,
        db,
        Health(settings, canary, tee, Pulse(db), books.payments),
        canary,
        make_hooks(settings, db, (github, neynar, nudges), desk, telemetry.intent),
        processor,
        desk,
        Carrier(desk, UnderWay(books.payments, books.plans)),
        FundingDesk(settings, hot, Witness(rpc), FundingBook(db)),
        eigenai,
        tee,
        agent,
        Attestor(settings, agent) if settings.attested and agent else None,
        sender,
        payer,
        chain.payouts if chain else None,
        nudges,
        books.payments,
        telemetry,
        Housekeeper(db, settings.replies_days),
        key.text if key else "",
    )


@dataclass(frozen=True)
class _Books:
    """What is remembered."""

    transactions: TransactionLedger
    payments: PaymentLedger
    claims: Claims
    people: People
    modes: Modes
    plans: PlanStore
    proofs: Proofs
    limits: Limits
    events: EventLog
    bonds: Bonds
    orders: OrderBook


@dataclass(frozen=True)
class _Rails:
    """What is asked, where NEAR is configured."""

    github: GitHub
    rpc: Rpc
    contract: SplitContract
    sender: Sender
    agent: GuestAgent | None
    reputations: Reputations
    ping: Ping


def _books(db: sqlite3.Connection, settings: Settings) -> _Books:
    payments = PaymentLedger(db)
    return _Books(
        TransactionLedger(db),
        payments,
        Claims(db, payments),
        People(db),
        Modes(db, Execution(settings.exec_mode)),
        PlanStore(db, settings.plan_ttl_ms / 1000),
        Proofs(db, settings.verify_ttl_ms / 1000),
        Limits(db, settings),
        EventLog(settings.log_dir),
        Bonds(db),
        OrderBook(db),
    )


def _on_chain(settings: Settings, rails: _Rails, books: _Books) -> OnChain:
    chain = Chain(rails.rpc)
    payouts = PingPayouts(settings, rails.ping, chain, books.orders, books.payments)
    payer = Payer(
        settings=settings,
        rpc=rails.rpc,
        contract=rails.contract,
        sender=rails.sender,
        payments=books.payments,
        transactions=books.transactions,
        screen=Screen(settings, books.people, rails.reputations),
        limits=books.limits,
        claims=books.claims,
        bonds=books.bonds,
        orders=books.orders,
        rails={PINGPAY: PingRail(settings, payouts, books.payments, books.bonds, rails.rpc)},
    )
    worker = Worker(settings, rails.contract, rails.sender, rails.agent)
    splitter = Splitter(settings, rails.github, rails.contract, worker, books.people)
    redeemer = Redeemer(
        settings=settings,
        github=rails.github,
        contract=rails.contract,
        people=books.people,
        reputations=rails.reputations,
        claims=books.claims,
        plans=books.plans,
        payer=payer,
    )
    verifier = Verifier(
        settings=settings,
        github=rails.github,
        contract=rails.contract,
        worker=worker,
        people=books.people,
        proofs=books.proofs,
        redeemer=redeemer,
    )
    planner = Planner(
        plans=books.plans,
        modes=books.modes,
        events=books.events,
        payments=books.payments,
        splitter=splitter,
        payer=payer,
        redeemer=redeemer,
    )
    return OnChain(splitter, payer, payouts, verifier, planner)


def _key(settings: Settings) -> Key | None:
    if not settings.near_key:
        return None
    try:
        return Key.parse(settings.near_key)
    except ValueError as error:
        raise SettingsError([f"NEAR_PRIVATE_KEY: {error}"]) from None


def _github(client: Connections, settings: Settings) -> GitHub:
    try:
        return GitHub(client, settings)
    except ValueError as error:
        raise SettingsError([f"GITHUB_PRIVATE_KEY: {error}"]) from None


def _check_grant_wallet(settings: Settings) -> None:
    if settings.eigenai_key and address_of(settings.eigenai_key) != settings.eigenai_address:
        raise SettingsError(
            ["EIGENAI_WALLET_ADDRESS: not the address of EIGENAI_WALLET_PRIVATE_KEY; give a pair"]
        )


def _store(settings: Settings) -> sqlite3.Connection:
    try:
        return open_store(settings.payments_db)
    except (OSError, sqlite3.Error) as error:
        raise SettingsError(
            [f"PAYMENTS_DB: cannot open {settings.payments_db} ({error}); give a writable path"]
        ) from error
