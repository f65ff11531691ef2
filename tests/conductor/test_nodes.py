"""Nodes are heard many times a second and journaled when they say something new."""

import asyncio

from conductor.doubles import report
from cutover.clock import ObservedClock
from cutover.conductor.nodes import Nodes
from cutover.evidence.observation import GatewayReport, GatewaySilent
from cutover.evidence.outcome import Count, Outcome
from cutover.runbook.intent import Intent
from virtual import VirtualClock, run

SILENT_MS = 3_000
COUNT = (Count(1, Intent.ANALYZE, "phala", Outcome.OK, 5),)


def played(story, known=()):
    """What is submitted while a story is told in virtual time."""
    seen = []

    async def submit(fact):
        seen.append((round(asyncio.get_running_loop().time(), 3), fact))

    async def all_of_it():
        nodes = Nodes(ObservedClock(VirtualClock()), SILENT_MS, submit, known)
        watch = asyncio.create_task(nodes.watch())
        await story(nodes)
        watch.cancel()

    run(all_of_it())
    return seen


def silences(seen):
    return [(at, fact.node) for at, fact in seen if isinstance(fact, GatewaySilent)]


def test_the_same_report_is_journaled_once():
    """A hundred reports that say nothing new are one entry."""

    async def story(nodes):
        for _ in range(100):
            await nodes.reported(report(in_flight=3))
            await asyncio.sleep(0.2)

    assert [fact for _, fact in played(story)] == [report(in_flight=3)]


def test_whatever_is_new_is_journaled():
    """Counters, another table, a refusal, another boot, other keys, lost outcomes."""
    news = [
        report(),
        report(counts=COUNT),
        report(counts=COUNT),
        report(generation=2),
        report(generation=2, refused_generation=3, refused="no"),
        report(generation=2, lost=1),
        report(generation=2, lost=1, keys_match=False),
        report(boot="b2"),
    ]

    async def story(nodes):
        for said in news:
            await nodes.reported(said)

    assert [fact for _, fact in played(story)] == news


def test_a_payment_that_ends_is_news_by_itself():
    """Its count may have been told before: a way back that waits for it must hear of its end."""
    news = [report(money_in_flight=n) for n in (0, 1, 0)]

    async def story(nodes):
        for said in news:
            await nodes.reported(said)
            await nodes.reported(said)

    assert [fact for _, fact in played(story)] == news


def test_silence_is_journaled_once():
    """A node that stops is silent once, as soon as its time is over."""

    async def story(nodes):
        await nodes.reported(report())
        await asyncio.sleep(60)

    ((at, node),) = silences(played(story))
    assert node == "node-1"
    assert at == (SILENT_MS + 1) / 1000


def test_each_node_has_its_own_time():
    """One that is first heard while another is waited for is not forgotten over it."""

    async def story(nodes):
        await nodes.reported(report())
        await asyncio.sleep(1.7)
        await nodes.reported(report(node="node-2"))
        await asyncio.sleep(30)

    due = (SILENT_MS + 1) / 1000
    assert silences(played(story)) == [(due, "node-1"), (round(1.7 + due, 3), "node-2")]


def test_nobody_looks_before_a_node_could_be_silent(monkeypatch):
    """In a minute of reports the watch wakes about once in the time that a silence takes."""
    looks = []
    silence = Nodes._until_silence

    def counted(nodes):
        looks.append(1)
        return silence(nodes)

    monkeypatch.setattr(Nodes, "_until_silence", counted)

    async def story(nodes):
        for _ in range(600):
            await nodes.reported(report())
            await asyncio.sleep(0.1)

    assert not silences(played(story))
    assert len(looks) <= 60_000 / SILENT_MS * 1.1 + 1


def test_a_node_that_speaks_again_is_news():
    """After a silence the same words count anew."""

    async def story(nodes):
        for _ in range(2):
            await nodes.reported(report())
            await asyncio.sleep(10)

    kinds = [type(fact) for _, fact in played(story)]
    assert kinds == [GatewayReport, GatewaySilent, GatewayReport, GatewaySilent]


def test_nodes_from_before_must_be_heard_again():
    """What the journal tells of is waited for after a restart, then called silent."""

    async def story(nodes):
        await asyncio.sleep(30)

    assert [node for _, node in silences(played(story, known=("node-1", "node-2")))] == [
        "node-1", "node-2",
    ]  # fmt: skip
