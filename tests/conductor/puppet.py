"""A whole conductor over scripted peers in virtual time, with its journal in a real file.

Run as a program, it plays one script and prints the head of the journal:

    puppet.py JOURNAL
"""

import asyncio
import itertools
import sys
from pathlib import Path

import msgspec

from conductor.doubles import DEMO, Scripted
from cutover.conductor.assembly import Outside, assemble
from cutover.conductor.attester import ReportedAttester
from cutover.conductor.work import work
from cutover.evidence.observation import PostCheckSeen, PreconditionSeen
from cutover.evidence.outcome import Conversations, Count, Outcome
from cutover.evidence.planes import Answer
from cutover.evidence.wire import NodeReport, key_proof
from cutover.journal.store import Journal
from cutover.runbook.gate import Evidence
from cutover.runbook.intent import Intent
from virtual import VirtualClock, run

KEYS = {"hetzner": "key-of-hetzner-0", "phala": "key-of-phala-000"}
CHECKS = {name: {"ok": True} for name in ("github", "near", "eigenai", "pingpay")}
HEALTH = {
    "version": "1", "build": "b", "readiness": {"ready": True},
    "services": {"teeWallet": "tee"}, "compute": "TEE (Intel TDX)",
}  # fmt: skip


class Fine(Scripted):
    """A plane on which nothing is wrong but live intents, so that no run leaves shadow."""

    def __init__(self, name):
        super().__init__(name)
        self.answers = {
            "/ready": (0.01, Answer(200, {"ready": True})),
            "/health": (0.02, Answer(200, HEALTH)),
            "canary": (0.3, Answer(200, {"ok": True, "checks": CHECKS})),
            "process": (0.1, Answer(503, {"error": "busy"})),
        }


class Inspector:
    """Everything holds."""

    async def precondition(self, check):
        return PreconditionSeen(check, True, ("fine",))

    async def post_check(self, name):
        return PostCheckSeen(name, True, ("fine",), {})


class Doors:
    """An API that nobody comes through."""

    def __init__(self):
        self.ended = asyncio.Event()

    async def serve(self):
        await self.ended.wait()

    def end(self):
        self.ended.set()


def outside(clock=None, watch=lambda _: None, **changes):
    planes = [Fine("hetzner"), Fine("phala")]
    numbers = itertools.count(1)
    values = {
        "clock": clock or VirtualClock(), "suspended_ms": lambda: 0,
        "fresh": lambda: f"{next(numbers):016x}", "planes": planes,
        "attester": ReportedAttester(planes[1], Evidence.REPORTED), "reference": None,
        "chain": None, "inspector": lambda run: Inspector(),
        "texts": {intent: f"{intent} a/b" for intent in Intent}, "cleanse": lambda fact: fact,
        "watch": watch, "keys": KEYS, "versions": {"cutover": "test"},
    }  # fmt: skip
    return Outside(**{**values, **changes})


def said(table, total):
    proofs = {plane: key_proof(key, "b1") for plane, key in KEYS.items()}
    mine = (table.generation, Intent.ANALYZE, "hetzner")
    return msgspec.json.encode(
        NodeReport(
            "node-1", "b1", table.term, table.generation, 0, "", 0, 0,
            (Count(*mine, Outcome.OK, total),), (Conversations(*mine, total),), proofs,
        )
    )  # fmt: skip


async def node(desk):
    """Takes every table and reports ten times a second."""
    table = None
    for total in itertools.count(1):
        at = (table.run, table.term, table.generation) if table else ("", 0, 0)
        table = await desk.table("node-1", *at, 0) or table
        await desk.report(said(table, total))
        await asyncio.sleep(0.1)


async def _play(path, seconds):
    journal = Journal.open(path, "run-1")
    stop, parts = asyncio.Event(), assemble(DEMO, journal, outside())
    async with asyncio.TaskGroup() as group:
        group.create_task(work(parts, stop, Doors()))
        serving = group.create_task(node(parts.desk))
        await asyncio.sleep(seconds)
        serving.cancel()
        await asyncio.wait([serving])
        stop.set()
    seq, digest = journal.head
    journal.close()
    return f"{seq} {digest.hex()}"


def play(path, seconds=12.0):
    """One script; the number and the hash of the journal's last entry."""
    return run(_play(path, seconds))


if __name__ == "__main__":
    sys.stdout.write(play(Path(sys.argv[1])))
