"""A ledger with orders to Ping, between a Ping and a NEAR that answer as told."""

import hashlib
import sqlite3
from dataclasses import dataclass, field

import base58

from agent_runtime.errors import RailUnknown
from agent_runtime.near.evidence import Evidence, Moved
from agent_runtime.near.ledger import TransactionLedger
from agent_runtime.near.outcome import Report
from agent_runtime.payments import Leg, PaymentLedger, Plan, Share
from agent_runtime.payouts.judge import Final, Unseen
from agent_runtime.payouts.orders import OrderBook
from agent_runtime.payouts.pingpay import PingPayouts
from agent_runtime.rails.ping_answers import Accepted, Declined, Unknown, Word
from agent_runtime.settings import Settings

HOUR_NS = 3600 * 10**9
REFUSED = Declined("INVALID_REQUEST", "no")
LOST = Unknown("HTTP 504")
SHARES = (Share("ada", "ada.near", 5), Share("ken", "ken.near", 2))
PLAN = Plan("github.com/a/b", "split-1-1", "USDC", 6, 7, SHARES, (), ())
LEG = Leg(1, "usdc.near", wrap=False, transfers=(("ada.near", 5), ("ken.near", 2)))


def hash_of(name):
    return base58.b58encode(hashlib.sha256(name.encode()).digest()).decode()


def said(word=Word.SUCCESS, name="h", remote="intent_1"):
    return Accepted(remote, word, (hash_of(name),) if name else ())


PENDING = said(Word.PENDING, "")


@dataclass
class Ping:
    """Answers as told, the last answer again and again; remembers what it was sent."""

    answers: list = field(default_factory=list)
    placed: list = field(default_factory=list)
    asked: list = field(default_factory=list)
    configured: bool = True
    before: object = None

    async def place(self, key, request):
        self.placed.append((key, request))
        return self._next()

    async def look_up(self, remote_id):
        self.asked.append(remote_id)
        return self._next()

    def _next(self):
        if self.before:
            self.before()
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@dataclass
class Near:
    """Shows the transactions that it has, all of the plan unless told otherwise."""

    shown: dict = field(default_factory=dict)
    at_ns: int = 1_000 * HOUR_NS
    deaf: bool = False

    async def now_ns(self):
        if self.deaf:
            raise RailUnknown("near", "timed out")
        return self.at_ns

    async def look(self, tx_hash, signer):
        return self.shown.get(tx_hash, Unseen("UNKNOWN_TRANSACTION"))

    def show(self, name="h", ada=5):
        tx_hash = hash_of(name)
        moved = tuple(
            Moved("usdc.near", "ping.near", to, units, "memo")
            for to, units in (("ada.near", ada), ("ken.near", 2))
        )
        report = Report(tx_hash, "ping.near", "k", 1, "usdc.near", "B", (), "d")
        evidence = Evidence(report, 9, moved, ("http://a",), 0.0)
        self.shown[tx_hash] = Final(evidence, landed=True, at_ns=self.at_ns + 1)


class World:
    """A ledger in memory, and what stands around it."""

    def __init__(self, *answers, **more):
        environ = {
            "PING_PAY_API_KEY": "k",
            "PING_PAY_ACCOUNT": "ping.near",
            "AGENT_PAYOUT_RAIL": "pingpay",
            **more,
        }
        self.db = sqlite3.connect(":memory:")
        self.payments, self.transactions = PaymentLedger(self.db), TransactionLedger(self.db)
        self.orders = OrderBook(self.db)
        self.ping, self.near = Ping(list(answers)), Near()
        self.settings = Settings.from_environ(environ)
        self.restart()

    def restart(self):
        self.rail = PingPayouts(self.settings, self.ping, self.near, self.orders, self.payments)

    def payment(self, name="pay-1"):
        return self.payments.get(name) or self.payments.plan(name, "me", PLAN, [LEG])

    async def carry(self, name="pay-1"):
        return await self.rail.carry(self.payment(name))

    async def settle(self, name="pay-1"):
        return await self.rail.settle(self.payment(name))

    def order(self, name="pay-1"):
        return self.orders.of_payment(name)

    def passes(self, seconds):
        """Let our clock go on, as far as orders know."""
        with self.db:
            self.db.execute(
                "UPDATE orders SET due_at = due_at - ?, first_sent_at = first_sent_at - ?",
                (seconds, seconds),
            )
