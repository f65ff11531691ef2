"""Probes keep their pace, look at both planes at the same instant and conclude nothing."""

import asyncio

import pytest

from conductor.doubles import DEMO, Scripted
from cutover.conductor.probes import Probes, every
from cutover.evidence.observation import Attestation, CanaryRound, Readiness, Reference
from cutover.evidence.planes import Answer
from virtual import run


def beats(interval_ms, takes, until):
    """When `every` beats, if the n-th beat takes `takes[n]` seconds."""
    at = []

    async def beat():
        at.append(round(asyncio.get_running_loop().time(), 3))
        await asyncio.sleep(takes[len(at) - 1] if len(at) <= len(takes) else 0)

    async def all_of_it():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(until):
                await every(interval_ms, beat)

    run(all_of_it())
    return at


def test_the_pace_does_not_drift():
    """A beat that takes time does not move the next one."""
    assert beats(1_000, [0.3, 0.9, 0.1], 5.5) == [0, 1, 2, 3, 4, 5]


def test_a_missed_beat_is_skipped_not_made_up_for():
    """After a slow answer the pace goes on where it would have been."""
    assert beats(1_000, [0, 2.5], 6.5) == [0, 1, 4, 5, 6]


def test_a_thousand_beats_later_the_pace_is_still_exact():
    """No error adds up."""
    assert beats(300, [0.1] * 5_000, 3_000.1)[-1] == 3_000


class World:
    """Probes over scripted planes, and what they submit."""

    def __init__(self, reference=None):
        self.planes = [Scripted("hetzner"), Scripted("phala")]
        self.facts = []
        self.reference = reference
        self.probes = Probes(DEMO, self.planes, reference, self.submit)

    async def submit(self, fact):
        self.facts.append((asyncio.get_running_loop().time(), fact))

    def of(self, kind):
        return [(at, fact) for at, fact in self.facts if isinstance(fact, kind)]

    def play(self, seconds):
        async def all_of_it():
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self.probes.run()

        run(all_of_it())


class Reachable:
    """Our own connectivity, by script."""

    def __init__(self, *script):
        self.script = list(script)

    async def reachable(self, deadline_ms):
        return (self.script.pop(0) if len(self.script) > 1 else self.script[0]), "said"


def test_every_signal_comes_at_its_pace():
    """Readiness of each plane every 500 ms, canaries every 1.5 s, attestation every second."""
    world = World()
    world.play(9.4)
    looks = [fact.plane for _, fact in world.of(Readiness)]
    assert (looks.count("hetzner"), looks.count("phala")) == (19, 19)
    assert [round(at, 2) for at, _ in world.of(CanaryRound)] == [0, 1.5, 3, 4.5, 6, 7.5, 9]
    assert len(world.of(Attestation)) == 10
    assert world.of(Reference) == []


def test_both_canaries_start_at_the_same_instant():
    """A shared cause can only be seen when both are asked together."""
    world = World()
    world.planes[0].answers["canary"] = (0.7, Answer(200, {"ok": True}))
    world.play(4)
    asked = [[at for at, what in plane.asked if what == "canary"] for plane in world.planes]
    assert asked[0] == asked[1] == [0, 1.5, 3]


def test_a_slow_plane_does_not_delay_the_other():
    """Each plane's readiness has its own pace."""
    world = World()
    world.planes[0].answers["/ready"] = (0.45, Answer(None, error="late"))
    world.play(3.1)
    assert [at for at, f in world.of(Readiness) if f.plane == "phala"] == [
        0,
        0.5,
        1,
        1.5,
        2,
        2.5,
        3,
    ]


def test_only_the_candidate_is_asked_for_attestation():
    """The fallback is not attested and nobody expects it."""
    world = World()
    world.play(3)
    assert {fact.plane for _, fact in world.of(Attestation)} == {"phala"}


def test_our_own_outage_blames_no_plane_for_silence():
    """While our reference fails, a canary round without an answer is left out, not false."""
    world = World(Reachable(False))
    world.planes[1].answers["canary"] = (0, Answer(None, error="no route"))
    world.play(3.2)
    assert [at for at, _ in world.of(CanaryRound)] in ([], [0])
    world = World(Reachable(True))
    world.planes[1].answers["canary"] = (0, Answer(None, error="no route"))
    world.play(3.2)
    assert len(world.of(CanaryRound)) == 3


def test_an_answer_counts_even_in_our_own_outage():
    """A plane that did answer `ok: false` is believed whatever our reference says."""
    world = World(Reachable(False))
    world.planes[1].answers["canary"] = (0, Answer(503, {"ok": False, "checks": {}}))
    world.play(3.2)
    assert len(world.of(CanaryRound)) == 3


def test_the_reference_is_journaled_while_it_fails_and_when_it_recovers():
    """Health is silent: only bad news, and their end, are entries."""
    world = World(Reachable(True, True, False, False, True, True))
    world.play(2.9)
    assert [fact.ok for _, fact in world.of(Reference)] == [False, False, True]
