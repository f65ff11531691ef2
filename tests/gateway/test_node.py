"""A node as a whole: tables, workers, crashes, counts."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from cutover.errors import ConfigurationError
from cutover.evidence.outcome import Outcome
from cutover.evidence.wire import key_proof, parse_report
from cutover.gateway.config import Limits
from cutover.gateway.listen import listen
from cutover.gateway.node import BACKOFF_FIRST_SECONDS, KEEP_SECONDS
from cutover.runbook.intent import Intent
from gateway.doubles import PLANE_KEYS, process, request, table, text, until

PAY = "pay 1 USDC to o/r"


class Traffic:
    """Clients that ask as fast as they get answers, until told to stop."""

    def __init__(self):
        self.answers = []
        self.stopping = False
        self.tasks = []

    async def start(self, world, node, clients=8):
        for n in range(clients):
            self.tasks.append(asyncio.create_task(self._ask(await world.client(node), n)))

    async def _ask(self, client, n):
        turn = 0
        while not self.stopping:
            turn += 1
            self.answers.append(await client.ask("analyze o/r", f"user-{n}-{turn}"))

    async def stop(self):
        self.stopping = True
        await asyncio.gather(*self.tasks)
        return self.answers


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_switch_under_load_fails_nobody_and_is_complete_once_acknowledged(world, workers):
    """No request arrives at the old plane once the node has said that the new one is in force."""
    node, _ = await world.serving(workers=workers)
    traffic = Traffic()
    await traffic.start(world, node)
    await until(lambda: len(traffic.answers) > 50)
    for generation, share in ((2, 10_000), (3, 0), (4, 10_000)):
        await world.apply(table(generation, share=share))
        acknowledged = time.monotonic()
        old = world.hetzner if share else world.phala
        after = len(traffic.answers) + 100
        await until(lambda after=after: len(traffic.answers) > after)
        assert max(seen.at for seen in old.seen) < acknowledged
    answers = await traffic.stop()
    assert {answer.status for answer in answers} == {200}
    assert {answer.headers["x-cutover-generation"] for answer in answers} == {"1", "2", "3", "4"}


async def test_the_counts_equal_what_the_planes_and_the_clients_saw(world):
    """Exact per plane, with two workers, some reports refused, and conversations distinct."""
    node, _ = await world.serving(workers=2)
    await world.apply(table(2, share=5000))
    world.conductor.refuse_reports = 3
    clients = [await world.client(node) for _ in range(6)]
    for turn in range(20):
        await asyncio.gather(
            *[c.ask("analyze o/r", f"user-{n}-{turn % 5}") for n, c in enumerate(clients)]
        )
    seen = {"hetzner": len(world.hetzner.seen), "phala": len(world.phala.seen)}
    assert sum(seen.values()) == 120
    assert min(seen.values()) > 0
    await until(lambda: sum(world.conductor.totals().values()) == 120, what="all counts")
    total = world.conductor.totals()
    assert {p: total[p, Intent.ANALYZE, Outcome.OK] for p in seen} == seen
    talks = {}
    for _, report in world.conductor.reports:
        talks |= {(c.plane, c.intent): c.n for c in report.conversations if c.generation == 2}
    authors = {json.loads(s.body)["author"] for s in world.hetzner.seen + world.phala.seen}
    assert sum(talks.values()) == len(authors) == 30
    assert world.conductor.last().lost == 0


async def test_a_conversation_stays_on_its_plane_on_every_worker(world):
    node, _ = await world.serving(workers=2)
    await world.apply(table(2, share=3000))
    homes = {}
    for _ in range(4):
        client = await world.client(node)
        for n in range(30):
            answer = await client.ask("analyze o/r", f"user-{n}")
            homes.setdefault(n, set()).add(answer.headers["x-cutover-plane"])
    assert all(len(home) == 1 for home in homes.values())
    assert {plane for home in homes.values() for plane in home} == {"hetzner", "phala"}


async def test_two_workers_report_as_one_node(world):
    node, _ = await world.serving(workers=2)
    assert len(node.workers()) == 2
    assert {report.node for _, report in world.conductor.reports} == {"node-1"}
    assert len({report.boot for _, report in world.conductor.reports}) == 1


async def test_an_idle_node_says_soon_that_a_table_is_in_force(world):
    await world.serving(report_every_ms=5000)
    start = time.monotonic()
    await world.apply(table(2))
    assert time.monotonic() - start < 1.5


async def test_a_failed_payment_is_reported_at_once(world):
    _, client = await world.serving(report_every_ms=5000)
    world.hetzner.answer = text("❌ Payment failed: no funds")
    start = time.monotonic()
    await client.ask(PAY)
    await until(
        lambda: world.conductor.totals()["hetzner", Intent.PAY, Outcome.BUSINESS_FAILED] == 1
    )
    assert time.monotonic() - start < 1.5


@pytest.mark.parametrize(
    ("offered", "why"),
    [
        (table(9, term=1, share=10_000), "term 1 is older than term 3"),
        (table(4, term=3, share=10_000), "generation 4 is older than 5"),
        (table(5, term=3, share=1), "generation 5 of term 3 differs from the one in force"),
        (table(1, term=9, run="other", share=10_000), "roll back that run first"),
    ],
)
async def test_a_table_that_must_not_be_in_force_is_refused_and_said_so(world, offered, why):
    node = await world.node()
    await world.apply(table(5, term=3, share=100))
    world.conductor.offer(offered, always=True)
    await until(lambda: world.conductor.last().refused_generation == offered.generation)
    assert why in world.conductor.last().refused
    client = await world.client(node)
    answer = await client.ask("analyze o/r", "")
    assert answer.headers["x-cutover-generation"] == "5"
    assert (world.conductor.last().term, world.conductor.last().generation) == (3, 5)
    before, asked = len(world.conductor.asked), world.conductor.asked
    await until(lambda: len(asked) >= before + 4, what="four more requests for a table")
    took = asked[before + 3]["at"] - asked[before]["at"]
    assert took > 3 * BACKOFF_FIRST_SECONDS, "a refused table must not be asked for in a spin"


async def test_a_disk_that_hangs_holds_up_no_table(world, tmp_path):
    """A rollback does not wait for it at all, a raise not for long; the newest is kept at last."""
    hung = tmp_path / "hung"
    (tmp_path / "sitecustomize.py").write_text(
        "import os, pathlib, time\n"
        "real = os.fsync\n"
        "def fsync(fd):\n"
        f"    while pathlib.Path({str(hung)!r}).exists():\n"
        "        time.sleep(0.01)\n"
        "    real(fd)\n"
        "os.fsync = fsync\n"
    )
    node = await world.node(environment={"PYTHONPATH": str(tmp_path)})
    await world.apply(table(1, share=10_000))
    client = await world.client(node)
    hung.touch()
    offered = time.monotonic()
    world.conductor.offer(table(2))
    while (await client.ask()).headers["x-cutover-plane"] != "hetzner":
        assert time.monotonic() - offered < KEEP_SECONDS, "a rollback waited for the disk"
    await world.apply(table(3, share=100))
    kept = lambda: json.loads((node.config.state_dir / "table.json").read_bytes())["generation"]  # noqa: E731
    assert kept() == 1
    hung.unlink()
    await until(lambda: kept() == 3, what="the newest table on disk")
    assert await node.stop() == 0


async def test_a_run_whose_conductor_is_gone_can_be_replaced_by_saying_so(world):
    """The node says which run it is in, so that a conductor can tell its numbers apart."""
    node = await world.node()
    await world.apply(table(7, term=5, share=10_000))
    node.kill()
    again = await world.node(accept_run="run-1")
    await world.apply(table(1, term=1, run="run-2"))
    client = await world.client(again)
    answer = await client.ask()
    assert (answer.headers["x-cutover-plane"], answer.headers["x-cutover-generation"]) == (
        "hetzner", "1",
    )  # fmt: skip
    runs = [(asked["run"], asked["term"]) for asked in world.conductor.asked]
    assert list(dict.fromkeys(runs)) == [("", "0"), ("run-1", "5"), ("run-2", "1")]


async def test_the_next_run_starts_counting_anew_as_another_boot(world):
    _, client = await world.serving()
    await client.ask()
    await until(lambda: sum(world.conductor.totals().values()) == 1)
    first = world.conductor.last().boot
    await world.apply(table(1, term=2, run="run-2"))
    assert world.conductor.last().boot != first
    await client.ask()
    await until(lambda: sum(world.conductor.totals().values()) == 2)
    assert {c.n for _, r in world.conductor.reports for c in r.counts} == {1}


async def test_the_report_proves_the_keys_without_showing_them(world):
    await world.serving()
    last = world.conductor.last()
    assert last.key_proofs == {n: key_proof(k, last.boot) for n, k in PLANE_KEYS.items()}
    import msgspec

    seen = parse_report(msgspec.json.encode(last), PLANE_KEYS)
    assert seen.keys_match is True
    assert all(key not in str(last) for key in PLANE_KEYS.values())


async def test_a_node_goes_on_alone_and_finds_its_table_after_a_restart(world):
    """The conductor dies, then the node; the next one serves the last table without asking."""
    node, client = await world.serving()
    await world.apply(table(2, share=10_000))
    await world.conductor.stop()
    assert (await client.ask()).headers["x-cutover-plane"] == "phala"
    node.kill()
    again = await world.node()
    client = await world.client(again)
    answer = await client.ask()
    assert (answer.status, answer.headers["x-cutover-generation"]) == (200, "2")
    await world.conductor.start()
    await until(
        lambda: any(int(asked["generation"]) == 2 for asked in world.conductor.asked), 10,
        "the node back at its conductor",
    )  # fmt: skip
    world.conductor.offer(table(1, share=0), always=True)
    await until(lambda: world.conductor.last().refused_generation == 1)


async def test_sigterm_finishes_what_is_in_hand_and_leaves_nothing_behind(world):
    node, client = await world.serving(workers=2)
    idle = await world.client(node)
    await idle.ask()
    release, arrived = asyncio.Event(), asyncio.Event()

    async def slow(seen, writer):
        arrived.set()
        await release.wait()

    world.hetzner.misbehave = slow
    await client.send(process(PAY))
    await arrived.wait()
    port, workers = node.port, node.workers()
    stopping = asyncio.create_task(node.stop())
    assert await idle.ended()
    await until(lambda: not accepts(port), what="no new connections")
    release.set()
    answer = await client.answer()
    assert (answer.status, answer.headers["connection"]) == (200, "close")
    assert await stopping == 0
    assert not any(alive(pid) for pid in workers)
    assert not (node.config.state_dir / "node.json").exists()
    assert world.conductor.totals()["hetzner", Intent.PAY, Outcome.UNKNOWN] == 1


async def test_a_nodes_log_has_no_line_for_every_poll_and_report(world):
    node, _ = await world.serving()
    await until(lambda: len(world.conductor.reports) > 2)
    node.process.terminate()
    await until(lambda: node.process.poll() is not None)
    said = node.process.stderr.read().decode()
    assert "HTTP Request" not in said


async def test_killing_the_supervisor_leaves_nobody_on_the_port(world):
    node, client = await world.serving(workers=2)
    port, workers = node.port, node.workers()
    node.kill()
    await until(lambda: not any(alive(pid) for pid in workers), what="the workers' end")
    assert not accepts(port)
    assert await client.ended()


async def test_a_killed_worker_is_replaced_and_its_counts_are_kept(world):
    node, client = await world.serving()
    for _ in range(5):
        await client.ask()
    (first,) = node.workers()
    world.hetzner.misbehave = hang
    await client.send(process())
    await until(lambda: len(world.hetzner.seen) == 6)
    os.kill(first, signal.SIGKILL)
    world.hetzner.misbehave = None
    again = await world.client(node)  # waits at the socket for the successor
    assert (await again.ask()).status == 200
    assert node.workers() != [first]
    total = lambda: world.conductor.totals()["hetzner", Intent.ANALYZE, Outcome.OK]  # noqa: E731
    await until(lambda: total() == 6, what="5 counts of the first and 1 of the second")
    assert world.conductor.last().lost == 1, "the request in the dead worker's hand"


async def test_a_payment_in_a_killed_workers_hand_has_an_unknown_end(world):
    """The candidate may have made it: told as unknown, which counts as failed, not as lost."""
    node, _ = await world.serving()
    await world.apply(table(2, pay=10_000))
    client = await world.client(node)
    world.phala.misbehave = hang
    await client.send(process(PAY))
    await until(lambda: world.phala.seen)
    os.kill(node.workers()[0], signal.SIGKILL)
    counted = lambda: world.conductor.totals().get(("phala", Intent.PAY, Outcome.UNKNOWN))  # noqa: E731
    await until(lambda: counted() == 1, what="the payment of unknown end")
    assert (world.conductor.last().lost, world.conductor.last().money_in_flight) == (0, 0)


async def hang(seen, writer):
    await asyncio.sleep(3)


async def test_a_port_that_is_held_is_refused_even_by_one_who_would_share_it(world):
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind(("127.0.0.1", 0))
        held.listen()
        with pytest.raises(AssertionError, match="is held by another process"):
            await world.node(port=held.getsockname()[1])


def test_nobody_is_let_in_who_is_then_hung_up_on(monkeypatch):
    """Looking whether a port is free opens it to no client: only what is handed out listens."""
    opened, real = [], socket.socket.listen
    monkeypatch.setattr(
        socket.socket, "listen", lambda self, *args: opened.append(self) or real(self, *args)
    )
    with ExitStack() as ours:
        listeners = [ours.enter_context(one) for one in listen("127.0.0.1", 0, 2)]
        assert opened == listeners
        with pytest.raises(ConfigurationError, match="is held by another process"):
            listen("127.0.0.1", listeners[0].getsockname()[1], 1)
        assert opened == listeners


def test_a_worker_cannot_be_started_by_hand(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "cutover.gateway.worker"], stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "not by hand" in done.stderr


async def test_no_secret_is_in_an_argument_an_environment_or_a_file(world):
    node, _ = await world.serving()
    pids = [node.process.pid, *node.workers()]
    places = [Path(f"/proc/{pid}/{what}") for pid in pids for what in ("cmdline", "environ")]
    places += [path for path in node.config.state_dir.iterdir() if path.is_file()]
    for place in places:
        content = place.read_bytes()
        for secret in ("client-key", "gateway-token", *PLANE_KEYS.values()):
            assert secret.encode() not in content, place


async def test_readiness_tells_when_a_worker_is_missing(world):
    """A worker that dies soon after its start is replaced a second after that start, not sooner."""
    node, _ = await world.serving(workers=2)
    first = node.workers()
    clients = [await world.client(node) for _ in range(16)]
    os.kill(first[0], signal.SIGKILL)
    await until(lambda: set(node.workers()) - set(first), what="a successor")
    for pid in set(node.workers()) - set(first):
        os.kill(pid, signal.SIGKILL)
    end, told = time.monotonic() + 5, []
    while (503, ["1 of 2 workers are running"]) not in told:
        assert time.monotonic() < end, told
        told = await asyncio.gather(*[readiness(one) for one in clients])
    await until(lambda: len(node.workers()) == 2)


async def readiness(client):
    try:
        await client.send(request("GET", "/ready"))
        answer = await client.answer(0.5)
    except (ConnectionError, asyncio.IncompleteReadError, TimeoutError):
        return None
    return answer.status, answer.json()["reasons"]


def told_to_stop(pid):
    """Whether a stopped process has SIGTERM waiting for it."""
    status = Path(f"/proc/{pid}/status").read_text()
    pending = int(status.partition("ShdPnd:")[2].split()[0], 16)
    return bool(pending >> (signal.SIGTERM - 1) & 1)


def accepts(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def state_of(pid):
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def alive(pid):
    try:
        return state_of(pid) != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("said", [PAY, "analyze o/r"])
async def test_what_a_stopping_node_gives_up_is_told_and_counted(world, said):
    """What may move money has its whole deadline, all else the time to drain; nothing is lost."""
    limits = Limits(drain_seconds=0.1, read_seconds=1.0)
    deadlines = {Intent.PAY: 1200, Intent.ANALYZE: 20_000}
    node, client = await world.serving(limits=limits, deadlines_ms=deadlines)
    world.hetzner.misbehave = hang
    await client.send(process(said))
    await until(lambda: world.hetzner.seen)
    started = time.monotonic()
    stopping = asyncio.create_task(node.stop())
    answer = await client.answer()
    assert (answer.status, answer.json()["code"]) == (504, "timeout")
    assert answer.headers["connection"] == "close"
    took = time.monotonic() - started
    assert took > 0.9 if said == PAY else took < 0.9
    assert await stopping == 0
    last = world.conductor.last()
    assert (last.in_flight, last.lost) == (0, 0)
    intent = Intent.PAY if said == PAY else Intent.ANALYZE
    assert world.conductor.totals()["hetzner", intent, Outcome.TIMEOUT_UNKNOWN] == 1


async def test_a_payment_is_answered_although_it_takes_longer_than_the_drain(world):
    limits = Limits(drain_seconds=0.1, read_seconds=1.0)
    node, client = await world.serving(limits=limits)
    release = asyncio.Event()

    async def slow(seen, writer):
        await release.wait()

    world.hetzner.misbehave = slow
    await client.send(process(PAY))
    await until(lambda: world.hetzner.seen)
    stopping = asyncio.create_task(node.stop())
    await until(lambda: not accepts(node.port), what="no new connections")
    drained = time.monotonic() + 3 * limits.drain_seconds
    await until(lambda: time.monotonic() > drained, what="the end of the time to drain")
    release.set()
    assert (await client.answer()).status == 200
    assert await stopping == 0


async def test_what_a_killed_worker_held_while_the_node_stopped_is_reported_as_lost(world):
    node, client = await world.serving()
    world.hetzner.misbehave = hang
    await client.send(process(PAY))
    await until(lambda: world.hetzner.seen)
    (worker,) = node.workers()
    os.kill(worker, signal.SIGSTOP)
    await until(lambda: state_of(worker) == "T", what="the worker's standing still")
    stopping = asyncio.create_task(node.stop())
    await until(lambda: told_to_stop(worker), what="the worker being told to stop")
    os.kill(worker, signal.SIGKILL)
    assert await stopping == 0
    assert (world.conductor.last().in_flight, world.conductor.last().lost) == (0, 1)
