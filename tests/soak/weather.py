"""What goes wrong while payments are made: a seeded schedule of faults of the chain's providers.

Honest in one thing only: the archival provider never denies a transaction that the chain has, since
nothing can be proven to anybody whose every witness lies.
"""

import asyncio
from collections import Counter

from sandbox.faults import Rule
from sandbox.near.view import Balanced, View

SPELL_SECONDS = 0.12
SENDS = (
    {"kind": "wrong", "variant": "accept_then_timeout"},
    {"kind": "wrong", "variant": "silent_drop"},
    {"kind": "wrong", "variant": "failed_receipt"},
    {"kind": "wrong", "variant": "invalid_nonce"},
    {"kind": "wrong", "variant": "expired"},
    {"kind": "wrong", "variant": "not_enough_balance"},
    {"kind": "wrong", "variant": "html"},
    {"kind": "status", "status": 504, "after": True},
    {"kind": "status", "status": 429, "retry_after": 1},
    {"kind": "hang", "after": True},
    {"kind": "reset", "after": True},
    {"kind": "reset"},
    {"kind": "torn"},
    {"kind": "half"},
)
LOOKS = ({"kind": "status"}, {"kind": "torn"}, {"kind": "reset"}, {"kind": "hang"})
EXPIRY = 86_401
CALM = 0.55
KINDS = ("plain", "plain", "lags", "wrong", "mixed")
LAG, HIGH = 12, 200_000
"""Blocks that a node is behind at the most, and what a wrong one adds to heights."""


class Weather:
    """Changes the world's faults every `SPELL_SECONDS` until it is told to stop."""

    def __init__(self, world, draw):
        self._world, self._draw = world, draw
        self.kinds = Counter()
        self.spells = self.reorgs = self.vanished = self.expiries = 0

    async def blow(self):
        while True:
            self._spell()
            await asyncio.sleep(SPELL_SECONDS)

    def clear(self):
        self._world.faults.clear()
        self._world.chain.views = {}

    def _spell(self):
        draw, self.spells = self._draw, self.spells + 1
        kind = draw.random()
        self._world.faults.replace([] if kind < CALM else self._rules())
        self._world.chain.views = self._views()
        if draw.random() < 0.35:
            back = draw.choice((0, 1, 3, 6, None))
            self.reorgs += 1
            self.vanished += len(self._world.chain.reorganise(draw.randint(1, 2), back))
        if draw.random() < 0.015 or self.spells == 10:
            self.expiries += 1
            self._world.chain.produce(skip=EXPIRY)

    def _rules(self):
        draw = self._draw
        rules = [
            self._rule("send_tx", fault, 0.2) for fault in draw.sample(SENDS, draw.randint(1, 3))
        ]
        if draw.random() < 0.5:
            lie = {"kind": "wrong", "variant": "unknown"}
            rules.append(self._rule("tx", lie, 0.7, draw.choice("ab")))
        if draw.random() < 0.5:
            rules.append(self._rule("tx", draw.choice(LOOKS), 0.3))
        if draw.random() < 0.2:
            rules.append(self._rule("*", draw.choice(LOOKS), 0.05))
        return rules

    def _rule(self, operation, fault, rate, provider=""):
        return Rule(
            service="near",
            operation=operation,
            seed=self._draw.getrandbits(32),
            match={"provider": provider} if provider else {},
            **{"rate": rate, **fault},
        )

    def _views(self):
        """Each ordinary provider is odd in its own way for a spell; the archive at most lags."""
        draw = self._draw
        views = {name: self._view(draw.choice(KINDS)) for name in "ab"}
        if draw.random() < 0.3:
            views["keep"] = View(lag=draw.randint(1, LAG))
        return views

    def _view(self, kind):
        """A provider that is no archive: as it should be, behind, wrong, or a mixture."""
        draw = self._draw
        plain = {"forgets_after": 130_000}
        self.kinds[kind] += 1
        match kind:
            case "lags":
                return View(**plain, lag=draw.randint(1, LAG))
            case "wrong":
                return View(**plain, height_offset=draw.choice((-HIGH, HIGH)))
            case "mixed":
                nodes = (View(**plain), View(**plain, lag=draw.randint(1, LAG)))
                order = draw.choice(("drawn", "round"))
                return Balanced(nodes=nodes, order=order, seed=draw.getrandbits(32))
        return View(**plain)
