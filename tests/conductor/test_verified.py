"""The candidate is what its quote proves, and its word is held against that: every way to end."""

import hashlib
import itertools
import json

import msgspec
import pytest

from attestation.served import HEALTH, Clock, Served, pccs
from attestation.world import Plane, policy, policy_text, root
from conductor.doubles import DEMO
from cutover.attestation.collateral_source import CollateralSource
from cutover.attestation.examine import Examiner
from cutover.attestation.keep import KeepError
from cutover.attestation.kept_folder import FOLDER
from cutover.attestation.pccs import Endpoint
from cutover.attestation.recheck import Recheck
from cutover.attestation.records import Records
from cutover.conductor import verified
from cutover.conductor.attested_plane import health_under
from cutover.conductor.probes import Probes
from cutover.conductor.verified import VerifiedAttester
from cutover.evidence.observation import Verdict
from cutover.runbook.gate import Evidence
from cutover.verifying import KeptLooks
from sandbox.faults import Rule
from sandbox.tee.front import Front
from sandbox.tee.settings import Collateral

LONG = 6_000
MOCK = {**HEALTH, "services": {"teeWallet": "mock"}}
LOCAL = {**HEALTH, "compute": "Standard (Local)"}


class Kept:
    """Remembers what was kept, or fails to."""

    def __init__(self):
        self.looks, self.fails = [], False

    def keep(self, examination, purpose):
        if self.fails:
            raise KeepError("evidence cannot be written: the disk is full")
        self.looks.append((examination, purpose))
        return f"{len(self.looks):064x}"


class World:
    """A served plane behind a front, a collateral service, and the attester that looks at both."""

    def __init__(self, served, front, service, folder):
        self.served, self.front, self.service, self.folder = served, front, service, folder
        self.clock, self.kept = served.clock, Kept()
        numbers = itertools.count(1)
        source = CollateralSource([Endpoint(service.url)], folder, self.clock, root())
        examiner = Examiner(
            front.url, policy(), source, self.clock,
            lambda size: next(numbers).to_bytes(size, "big"), folder, root(),
        )  # fmt: skip

        async def health(spki, deadline_ms):
            return await health_under(front.url, spki, deadline_ms)

        self.attester = VerifiedAttester("phala", examiner, health, self.kept, self.clock)

    async def look(self, purpose="monitor"):
        found = await self.attester.look(LONG, purpose)
        assert (found.plane, found.evidence) == ("phala", Evidence.VERIFIED)
        return found


@pytest.fixture
async def world(tmp_path):
    clock = Clock()
    served = Served(tmp_path, clock)
    async with pccs(clock) as service, served.running():
        port = int(served.url.rpartition(":")[2])
        async with Front(("127.0.0.1", port), "t").running() as front:
            yield World(served, front, service, tmp_path / "kept")


async def test_a_quote_that_holds_and_a_word_that_agrees_are_verified(world):
    """With its key, its marks, its life, and the name of what it rests on."""
    found = await world.look("canary: promotion")
    assert found.verdict is Verdict.VERIFIED
    assert found.identity.startswith("tdx:")
    assert found.marks == ("TEST ROOT",)
    assert found.tls_spki == world.served.plane.tls_spki.hex()
    assert found.lasts_ms == 300_000  # the statement ends first
    assert found.record == f"{1:064x}"
    ((examined, purpose),) = world.kept.looks
    assert (examined.verification.identity, purpose) == (found.identity, "canary: promotion")
    assert world.served.asked_health == 1


def other_app(world):
    world.served.plane.lie = "other_app"


def other_compose(world):
    world.served.plane.lie = "other_compose"


def repeated(world):
    world.served.body = json.dumps(Plane().answer()).encode()


def claims_only(world):
    world.served.status = 404


def agent_gone(world):
    world.served.status = 503


def services_down(world):
    world.service.faults.replace([Rule(service="pccs", kind="status")])


def out_of_date(world):
    world.service.pccs.settings = Collateral.model_validate({"standard": {"status": "OutOfDate"}})


def swapped(world):
    world.front.switch("swap")


def silent_health(world):
    world.served.health = (503, {"error": "no"})


def mock_wallet(world):
    world.served.health = (200, MOCK)


def local_compute(world):
    world.served.health = (200, LOCAL)


@pytest.mark.parametrize(
    ("bent", "verdict", "said", "asked_health"),
    [
        ([other_app], "invalid", "app_id: failed", 0),
        ([other_compose], "invalid", "compose_hash: failed", 0),
        ([repeated], "invalid", "nonce: failed (other)", 0),
        ([claims_only], "missing", "404, no attestation there", 0),
        ([agent_gone], "unverifiable", "503, expected 200 and evidence", 0),
        ([services_down], "unverifiable", "collateral: unverifiable", 0),
        ([swapped], "invalid", "tls_key: failed (other_peer)", 0),
        ([out_of_date], "degraded", "tcb: degraded", 1),
        ([mock_wallet], "degraded", "health contradicts the quote: /health reports teeWallet", 1),
        ([local_compute], "degraded", "health contradicts the quote: /health reports compute", 1),
        ([silent_health], "unverifiable", "health: /health gave no usable answer", 1),
        ([out_of_date, silent_health], "degraded", "health: /health gave no usable answer", 1),
        ([out_of_date, mock_wallet], "degraded", "health contradicts the quote", 1),
    ],
)
async def test_every_other_look_has_its_verdict(world, bent, verdict, said, asked_health):
    """None is verified; only a quote that holds has a life, and `/health` is asked only then."""
    for bend in bent:
        bend(world)
    found = await world.look()
    assert found.verdict == verdict, found.reasons
    assert any(said in reason for reason in found.reasons), found.reasons
    assert (found.lasts_ms is not None) == (verdict == "degraded")
    assert found.tls_spki == "" or bent != [swapped]
    assert world.served.asked_health == asked_health
    assert found.record


@pytest.mark.parametrize("bent", [[], [mock_wallet], [silent_health], [out_of_date, silent_health]])
async def test_what_is_journaled_is_borne_out_by_what_is_kept(world, tmp_path, bent):
    """Also where the word of `/health` makes less of a look than its evidence does."""
    for bend in bent:
        bend(world)
    world.attester._keeper = KeptLooks(Records(tmp_path / "run" / FOLDER, policy_text(), root()))
    found = await world.look("promote:canary")
    kept = [path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()]
    parts = {hashlib.sha256(raw).hexdigest(): raw for raw in kept}
    assert Recheck(root()).against(parts[found.record], parts.get, found) is None
    other = msgspec.structs.replace(found, verdict=Verdict.STALE)
    assert "the evidence gives" in Recheck(root()).against(parts[found.record], parts.get, other)


async def test_a_key_that_changes_is_another_identity(world):
    """What restarts with a new TLS key is told from what was there before."""
    before = await world.look()
    world.served.plane.machine.restart()
    world.served.bind(world.served.plane.machine.next_tls_key())
    async with Served.running(world.served):
        world.front.upstream = ("127.0.0.1", int(world.served.url.rpartition(":")[2]))
        after = await world.look()
    assert after.verdict is Verdict.VERIFIED
    assert after.tls_spki != before.tls_spki
    assert after.identity != before.identity


async def test_what_a_person_should_know_is_logged_once_and_stands_in_every_verdict(
    world, monkeypatch
):
    """A coming recovery, then failing services; and that they are over."""
    said = []
    monkeypatch.setattr(verified, "say", lambda event, **fields: said.append((event, fields)))
    settings = Collateral.model_validate({"early": {"number": 21, "status": "OutOfDate"}})
    world.service.pccs.settings = settings
    for _ in range(2):
        found = await world.look()
        assert found.verdict is Verdict.VERIFIED
        assert any(r.startswith("warning: evaluation 21") for r in found.reasons)
    assert [event for event, _ in said] == ["attestation_warning"]
    assert said[0][1]["plane"] == "phala"
    world.service.faults.replace([Rule(service="pccs", kind="status")])
    world.clock.now += 7 * 3600
    found = await world.look()
    assert found.verdict is Verdict.VERIFIED
    assert len(said) == 2
    world.service.faults.replace([])
    world.service.pccs.settings = Collateral()
    world.clock.now += 25 * 3600
    assert (await world.look()).verdict is Verdict.VERIFIED
    assert [event for event, _ in said][2:] == ["attestation_warnings_over"]


async def test_a_verdict_lasts_from_its_journaling(world):
    """The time that a slow `/health` takes is not given to the verdict a second time."""
    ask = world.attester._health

    async def slow(spki, deadline_ms):
        world.clock.now += 4
        return await ask(spki, deadline_ms)

    world.attester._health = slow
    assert (await world.look()).lasts_ms == 296_000


@pytest.mark.parametrize("what", ["memory", "evidence"])
async def test_what_cannot_be_kept_stops_the_conductor(world, what):
    """No verdict is handed in: neither a floor nor the proof of a verdict may be forgotten."""
    await world.look()
    if what == "memory":
        (world.folder / "attestation-phala.json").write_text("{")
    world.kept.fails = what == "evidence"
    facts = []

    async def submit(fact):
        facts.append(fact)

    probes = Probes(DEMO, [], world.attester, None, submit)
    with pytest.raises(KeepError):
        await probes.attestation()
    assert facts == []
