"""What a run on real processes has come to, gathered from everybody who was part of it."""

import json
from collections import Counter
from dataclasses import dataclass

import httpx
import msgspec

from crash.clients import Asked
from cutover.decision import replay as decisions
from cutover.decision.fact import Entry
from cutover.decision.kinds import Move
from cutover.decision.run import Run
from cutover.decision.step import table_for
from cutover.routing.table import RoutingTable
from cutover.runbook.load import load_text

OURS = ("live-", "receipt-")
"""How the keys of what the conductor itself executes begin."""


@dataclass(frozen=True)
class Executed:
    """A text that a plane was told; `again` when it had answered that key before."""

    plane: str
    key: str
    text: str
    again: bool


@dataclass(frozen=True)
class Outcome:
    """A run that is over.

    Attributes:
        entries: of its journal.
        run: the state that they fold to, by today's code.
        divergence: where today's code decides otherwise than the journal; empty for nowhere.
        verified: what `verify-log` and `archive verify` said, if they did not say yes.
        asked: what the clients asked and were answered.
        executed: what the planes were told.
        kept: the table on the node's disk.
        due: the table that should be in force.
        served: the generation that a client's answer bears.
        died: processes that were killed.
    """

    entries: tuple[Entry, ...]
    run: Run
    divergence: str
    verified: tuple[str, ...]
    asked: tuple[Asked, ...]
    executed: tuple[Executed, ...]
    kept: RoutingTable
    due: RoutingTable
    served: str
    died: tuple[str, ...]

    def facts(self, *kinds):
        return [entry.fact for entry in self.entries if isinstance(entry.fact, kinds)]

    def moves(self):
        """Every decision that moved something, in order."""
        return [_named(fact) for fact in self.facts(Move)]

    def paid(self):
        """How often each key of a payment was executed, on whatever plane."""
        paid = [e for e in self.executed if e.text.startswith("pay ")]
        return Counter(e.key for e in paid if not e.again)


def _named(move):
    where = getattr(move, "stage", getattr(move, "rule", ""))
    return " ".join(filter(None, (type(move).__name__, where, getattr(move, "intent", ""))))


def outcome_of(play):
    """Look at all that a played run has left; its gateway still serves."""
    served = _served(play)
    stopped = play.close()
    found = [f"the gateway's exit code is {stopped}"] if stopped else []
    entries = tuple(play.entries())
    runbook = load_text(play.runbook.read_text("utf-8"), "runbook.toml")
    replayed = decisions.replay(entries, lambda text: load_text(text, "the adopted runbook"))
    state = play.data / "gateway-node-1" / "table.json"
    return Outcome(
        entries=entries,
        run=replayed.run,
        divergence=str(replayed.divergence or ""),
        verified=(*found, *_verified(play)),
        asked=tuple(play.clients.asked),
        executed=tuple(_executed(play)),
        kept=msgspec.json.decode(state.read_bytes(), type=RoutingTable),
        due=table_for(runbook, replayed.run),
        served=served,
        died=tuple(play.died),
    )


def _served(play):
    headers = {"x-agent-api-key": play.keys["client"]}
    body = {"text": "analyze a/last", "author": "last", "type": "web"}
    url = f"{play.gateway_url}/process"
    answer = httpx.post(url, json=body, headers=headers, timeout=30, trust_env=False)
    return answer.headers.get("x-cutover-generation", "")


def _verified(play):
    for words in (
        ("verify-log", str(play.data / "journal.db")),
        ("archive", "verify", str(play.data / "archive.zip")),
    ):
        said = play.cli(*words)
        if said.returncode:
            yield f"{' '.join(words[:-1])}: {said.stdout}{said.stderr}"


def _executed(play):
    for plane in ("hetzner", "phala"):
        path = play.folder / f"{plane}.executions"
        for line in path.read_text("utf-8").splitlines():
            told = json.loads(line)
            yield Executed(plane, told["key"], told["text"], not told["executed"])
