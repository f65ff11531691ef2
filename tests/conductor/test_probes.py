"""Probes keep their pace, look at both planes at the same instant and conclude nothing."""

import asyncio

import pytest

from conductor.doubles import DEMO, Scripted
from cutover.conductor.attester import ReportedAttester
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
        attester = ReportedAttester(self.planes[1], DEMO.attestation_gate().evidence)
        self.probes = Probes(DEMO, self.planes, attester, reference, self.submit)

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
    """Readiness of each plane every 500 ms, canaries every 1.5 s, attestation every 2 s."""
    world = World()
    world.play(9.4)
    looks = [fact.plane for _, fact in world.of(Readiness)]
    assert (looks.count("hetzner"), looks.count("phala")) == (19, 19)
    assert [round(at, 2) for at, _ in world.of(CanaryRound)] == [0, 1.5, 3, 4.5, 6, 7.5, 9]
    assert len(world.of(Attestation)) == 5
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


def verdicts(world):
    return [
        (round(at, 2), [(v.plane, v.ok) for v in fact.verdicts])
        for at, fact in world.of(CanaryRound)
    ]


def test_our_own_outage_blames_no_plane_for_silence():
    """While our reference fails, a plane without an answer is left out, and the other is not."""
    world = World(Reachable(False))
    world.planes[1].answers["canary"] = (0.1, Answer(None, error="no route"))
    world.play(3.05)
    assert verdicts(world) == [(0.1, [("hetzner", False)]), (1.6, [("hetzner", False)])]
    world = World(Reachable(False))
    for plane in world.planes:
        plane.answers["canary"] = (0.1, Answer(None, error="no route"))
    world.play(3.05)
    assert verdicts(world) == []
    world = World(Reachable(True))
    world.planes[1].answers["canary"] = (0, Answer(None, error="no route"))
    world.play(3.05)
    assert len(world.of(CanaryRound)) == 3


def test_an_answer_counts_even_in_our_own_outage():
    """A plane that did answer `ok: false` is believed whatever our reference and its peer say."""
    world = World(Reachable(False))
    world.planes[0].answers["canary"] = (0.1, Answer(None, error="no route"))
    world.planes[1].answers["canary"] = (0.1, Answer(503, {"ok": False, "checks": {}}))
    world.play(3.05)
    assert verdicts(world) == [(0.1, [("phala", False)]), (1.6, [("phala", False)])]


BAD = Answer(200, {"ok": False, "checks": {}})
GOOD = Answer(
    200,
    {"ok": True, "checks": {n: {"ok": True} for n in ("github", "near", "eigenai", "pingpay")}},
)


def test_a_hanging_fallback_does_not_delay_a_failure_of_the_candidate():
    """It waits a quarter of the deadline; the fallback's verdict comes when it comes."""
    world = World()
    world.planes[0].answers["canary"] = (1.4, Answer(None, error="no whole answer"))
    world.planes[1].answers["canary"] = (0.1, BAD)
    world.play(1.45)
    assert verdicts(world) == [(0.45, [("phala", False)]), (1.4, [("hetzner", False)])]


def test_a_shared_cause_is_seen_within_the_grace():
    """Both verdicts are one round when the second comes soon after the first."""
    world = World()
    world.planes[0].answers["canary"] = (0.4, BAD)
    world.planes[1].answers["canary"] = (0.1, BAD)
    world.play(1)
    assert verdicts(world) == [(0.4, [("hetzner", False), ("phala", False)])]


def test_a_good_candidate_waits_for_the_fallback():
    """Nothing hurries when nothing is wrong with the candidate."""
    world = World()
    world.planes[0].answers["canary"] = (1.2, BAD)
    world.planes[1].answers["canary"] = (0.1, GOOD)
    world.play(1.4)
    assert verdicts(world) == [(1.2, [("hetzner", False), ("phala", True)])]


def test_a_verdict_is_about_what_the_plane_was_when_it_was_asked():
    """Another identity that is learned in between does not get the credit."""
    world, known = World(), {"phala": "old", "hetzner": ""}
    world.probes._identity = known.get
    world.planes[1].answers["canary"] = (1, GOOD)

    async def restart(path, deadline_ms):
        known["phala"] = "new"
        return Answer(200, {})

    world.planes[1].get = restart
    world.play(2.8)
    seen = [[v.identity for v in fact.verdicts] for _, fact in world.of(CanaryRound)]
    assert seen == [["", "old"], ["", "new"]]


def test_the_reference_is_journaled_while_it_fails_and_when_it_recovers():
    """Health is silent: only bad news, and their end, are entries."""
    world = World(Reachable(True, True, False, False, True, True))
    world.play(2.9)
    assert [fact.ok for _, fact in world.of(Reference)] == [False, False, True]
