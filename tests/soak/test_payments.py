"""Thousands of payments through everything that goes wrong: each is made once, or not at all.

Two runtimes, the real program in two processes with a NEAR key each on the one account; payments of
one transaction and of several; callers who ask twice at the same time and again until they hear an
end; providers that refuse what they took, take what they refuse, lag, forget and lie; blocks that
are taken back; signatures that expire; and SIGKILL at any step of the recipe. Then silence, and the
books are compared.

`SOAK_SEED` repeats a run's payments, faults and deaths; how processes interleave is not repeated.
"""

import asyncio
import os
import random
import secrets
from collections import Counter
from dataclasses import dataclass

import pytest

from sandbox.credentials import Credentials
from sandbox.near.record import LEVELS
from sandbox.people import WITH_SPLIT
from sandbox.world import Options, World
from soak import books
from soak.plane import Plane
from soak.weather import KINDS, Weather

SETTLE_SECONDS = 20
CALLERS = 10
STEPS_EACH = 14
"""Steps that a payment takes at the least, so that every death comes while there is work."""
UNKNOWN = "❌ Payment outcome unknown"
IN_PART = "❌ Payment needs a person: paid: leg"
ENDS = ("✅ Distributed", "❌ Payment failed", "🛑 Payment not made", IN_PART)
RECIPIENTS = {"hetzner": "30", "phala": "2"}
"""Most that one transaction pays; splits here have three to six people, so of one leg to three."""


@dataclass(frozen=True)
class Order:
    key: str
    plane: str
    text: str
    copies: int


def orders(draw, count, planes):
    for n in range(count):
        token = draw.choices(("USDC", "NEAR"), (3, 1))[0]
        amount = f"{draw.randint(1, 2)}.{draw.randint(1, 10**6 - 1):06}"
        repo = draw.choice(WITH_SPLIT)
        copies = draw.choices((1, 2, 3), (6, 3, 1))[0]
        yield Order(f"order-{n}", draw.choice(planes), f"pay {amount} {token} to {repo}", copies)


def environ(world, plane):
    told = world.describe()["planes"][plane]["env"]
    base = f"{told['NEAR_NODE_URL']}/~{plane}"
    return {
        **told,
        "NEAR_NODE_URL": f"{base}/~a,{base}/~b",
        "NEAR_ARCHIVAL_URL": f"{base}/~keep",
        "AGENT_LEG_RECIPIENTS": RECIPIENTS[plane],
    }


class Run:
    """One run: its world, its planes, what they were asked, and what they said last."""

    def __init__(self, count, deaths, seed, folder):
        self.draw = random.Random(seed)
        options = Options(block_seconds=0.01, rpc_wait_seconds=0.5)
        self.world = World(options, Credentials.generate())
        self.folder, self.count, self.deaths = folder, count, deaths
        self.said = {}
        self.before = books.balances(self.world.chain)

    async def play(self):
        async with self.world.running():
            names = ("hetzner", "phala")
            planes = {name: self._plane(name) for name in names}
            self.orders = list(orders(self.draw, self.count, names))
            async with planes["hetzner"].living(), planes["phala"].living():
                self.weather = Weather(self.world, random.Random(self.draw.getrandbits(64)))
                await self._busy(planes)
                await self._settle(planes)
            await self._rest()
            self.planes = planes
        self.ours = [books.read(plane.db) for plane in planes.values()]

    def _plane(self, name):
        most = STEPS_EACH * self.count // 2 // self.deaths
        lives = [self.draw.randint(20, most) for _ in range(self.deaths)]
        return Plane(name, environ(self.world, name), lives, self.folder)

    async def _busy(self, planes):
        blowing = asyncio.create_task(self.weather.blow())
        try:
            async with asyncio.TaskGroup() as callers:
                for name in planes:
                    todo = iter([order for order in self.orders if order.plane == name])
                    for _ in range(CALLERS):
                        callers.create_task(self._call(planes[name], todo))
        finally:
            blowing.cancel()
            await asyncio.wait([blowing])
            self.weather.clear()
        assert blowing.cancelled(), blowing.exception()

    async def _call(self, plane, todo):
        for order in todo:
            asked = (plane.ask(order.text, order.key) for _ in range(order.copies))
            texts = await asyncio.gather(*asked)
            final = {text for text in texts if not text.startswith(UNKNOWN)}
            assert len(final) <= 1, final
            self.said[order.key] = final.pop() if final else UNKNOWN

    async def _settle(self, planes):
        for order in self.orders:
            heard = self.said[order.key]
            text = await planes[order.plane].ask(order.text, order.key)
            until = asyncio.get_running_loop().time() + SETTLE_SECONDS
            while text.startswith(UNKNOWN):
                late = asyncio.get_running_loop().time() > until
                assert not late, "\n".join((text, *planes[order.plane].said))
                await asyncio.sleep(0.05)
                text = await planes[order.plane].ask(order.text, order.key)
            assert heard in {UNKNOWN, text}, (heard, text)
            self.said[order.key] = text

    async def _rest(self):
        chain = self.world.chain
        for _ in range(10):
            chain.produce()
        assert {record.level(chain.now) for record in chain.records.values()} == {LEVELS[-1]}

    def report(self):
        deaths = sum((plane.deaths for plane in self.planes.values()), Counter())
        weather = self.weather
        return {
            "payments": dict(sum((Counter(o.states.values()) for o in self.ours), Counter())),
            "attempts": dict(sum((o.attempts for o in self.ours), Counter())),
            "legs": dict(sum((Counter(o.legs.values()) for o in self.ours), Counter())),
            "deaths": dict(deaths),
            "spells": weather.spells,
            "providers": dict(weather.kinds),
            "reorgs": (weather.reorgs, weather.vanished),
            "expiries": weather.expiries,
        }


async def check(run):
    await run.play()
    print(run.report())  # noqa: T201 - shown with a failure, and by `pytest -s`
    wrong = books.compare(run.world.chain, run.before, run.ours)
    assert wrong == []
    for order in run.orders:
        assert run.said[order.key].startswith(ENDS), run.said[order.key]
    shown = Counter(text.split(maxsplit=1)[0] for text in run.said.values())
    states = sum((Counter(ours.states.values()) for ours in run.ours), Counter())
    assert shown["✅"] == states["paid"]
    # A run in which little happens shows nothing.
    assert states["paid"] > run.count // 2
    assert states["review"] < run.count // 20
    assert {1, 2, 3} <= {legs for ours in run.ours for legs in ours.legs.values()}
    assert sum(states.values()) > run.count * 9 // 10
    for plane in run.planes.values():
        assert sum(plane.deaths.values()) == run.deaths, plane.name
    assert run.weather.kinds.keys() == set(KINDS)
    assert run.weather.vanished
    assert run.weather.expiries


def seed_of(default):
    seed = int(os.environ.get("SOAK_SEED", default))
    print(f"SOAK_SEED={seed}")  # noqa: T201 - shown with a failure, and by `pytest -s`
    return seed


@pytest.mark.long
async def test_two_hundred_payments_are_each_made_once_or_not_at_all(tmp_path):
    await check(Run(200, 1, seed_of(5), tmp_path))


@pytest.mark.soak
async def test_ten_thousand_payments_are_each_made_once_or_not_at_all(tmp_path):
    await check(Run(10_000, 60, seed_of(secrets.randbelow(2**32)), tmp_path))
