"""A look at a plane over real sockets: every way to answer, and what is remembered."""

import itertools
import json

import pytest

from attestation.served import Clock, Served, pccs
from attestation.world import NOW, codes, fixture, policy, root
from cutover.attestation.bundle import Nonce
from cutover.attestation.collateral import parse_collateral
from cutover.attestation.collateral_source import CollateralSource
from cutover.attestation.examine import Examiner
from cutover.attestation.keep import KeepError
from cutover.attestation.limits import REPLY_BYTES_MAX
from cutover.attestation.look_ahead import look_ahead
from cutover.attestation.nonces import OPEN_MAX, NonceBook
from cutover.attestation.pccs import Endpoint
from cutover.attestation.quote import parse_quote
from sandbox.faults import Rule
from sandbox.tee.settings import Collateral as Settings

LONG = 4000


def entropy():
    numbers = itertools.count(1)
    return lambda size: next(numbers).to_bytes(size, "big")


@pytest.fixture
async def world(tmp_path):
    """A plane, a service and an examiner that passes them."""
    clock = Clock()
    served = Served(tmp_path, clock)
    async with pccs(clock) as service, served.running():
        kept = tmp_path / "kept"
        source = CollateralSource([Endpoint(service.url)], kept, clock, root())
        served.service = service
        served.examiner = Examiner(served.url, policy(), source, clock, entropy(), kept, root())
        yield served


async def test_a_good_plane_is_verified_over_tls(world):
    """Fresh nonce, attested key, collateral from the service: verified, with all to repeat it."""
    look = await world.examiner.look("monitor", LONG)
    assert look.verification.verdict == "verified", codes(look.verification)
    assert look.warnings == ()
    assert look.bundle.quote
    assert json.loads(look.collateral)
    assert world.asked == [(1).to_bytes(32, "big").hex()]
    again = await world.examiner.look("monitor", LONG)
    assert world.asked[1] != world.asked[0]
    assert again.verification.identity == look.verification.identity


async def test_an_old_answer_is_not_an_answer(world):
    """A plane that repeats what it once said is invalid, whoever relays it."""
    await world.examiner.look("monitor", LONG)
    world.body = json.dumps(world.plane.answer()).encode()
    look = await world.examiner.look("monitor", LONG)
    assert codes(look.verification) == ["nonce:other"]


async def test_another_tls_key_is_found_out(world, tmp_path):
    """True evidence from an endpoint with another key: who answers is not who proved itself."""
    world.bind(world.plane.machine.next_tls_key(), stated=False)
    async with Served.running(world):
        world.examiner._url = world.url
        look = await world.examiner.look("monitor", LONG)
    assert codes(look.verification) == ["tls_key:other_peer"]


async def test_without_tls_nothing_is_verified(world):
    """Plain HTTP has no key to compare."""
    async with Served.running(world, secure=False):
        world.examiner._url = world.url
        look = await world.examiner.look("monitor", LONG)
    assert codes(look.verification) == ["tls_key:no_tls"]


@pytest.mark.parametrize(
    ("status", "body", "verdict", "code"),
    [
        (404, b"", "missing", "no_evidence"),
        (501, b"", "missing", "no_evidence"),
        (429, b"", "unverifiable", "no_answer"),
        (503, b"", "unverifiable", "no_answer"),
        (302, b"", "unverifiable", "no_answer"),
        (200, b"", "invalid", "malformed_answer"),
        (200, b"<html>", "invalid", "malformed_answer"),
        (200, b'{"v":2}', "invalid", "malformed_answer"),
        (200, b" " * (REPLY_BYTES_MAX + 1), "unverifiable", "no_answer"),
        (200, b'{"v":1}', "missing", "absent"),
    ],
)
async def test_every_other_answer_has_its_verdict(world, status, body, verdict, code):
    """No evidence, trouble and rubbish are three things, and none is verified."""
    world.status, world.body = status, body
    look = await world.examiner.look("monitor", LONG)
    assert look.verification.verdict == verdict
    assert f"quote_format:{code}" in codes(look.verification)


async def test_silence_is_unverifiable_at_the_deadline(world):
    """A plane that takes the question and says nothing."""
    world.silent = True
    look = await world.examiner.look("monitor", 200)
    assert look.verification.verdict == "unverifiable"
    assert "no whole answer within 100 ms" in str(look.verification.reasons[0])


async def test_nobody_there_is_unverifiable(world):
    """A closed port says nothing about the plane."""
    world.examiner._url = "https://127.0.0.1:1"
    look = await world.examiner.look("monitor", LONG)
    assert look.verification.verdict == "unverifiable"


async def test_a_collateral_outage_alone_moves_nothing_until_its_age_limit(world):
    """Verified on the kept set for days, unverifiable after the policy's limit."""
    await world.examiner.look("monitor", LONG)
    world.service.faults.replace([Rule(service="pccs", kind="status")])
    world.clock.now = NOW + 6 * 86_400
    world.examiner._ahead_at = world.clock.now
    look = await world.examiner.look("monitor", LONG)
    assert look.verification.verdict == "verified"
    assert look.verification.deadline <= NOW + 7 * 86_400
    assert "503" in look.warnings[0] or "500" in look.warnings[0]
    world.clock.now = NOW + 8 * 86_400
    look = await world.examiner.look("monitor", LONG)
    assert "collateral:too_old" in codes(look.verification)


async def test_a_recovery_is_warned_of_before_it_bites(world):
    """The early set is tried once a day; the day it becomes standard, the plane is degraded."""
    early = {"number": 21, "status": "OutOfDate"}
    world.service.pccs.settings = Settings.model_validate({"early": early})
    look = await world.examiner.look("monitor", LONG)
    assert look.verification.verdict == "verified"
    assert "evaluation 21, published early" in look.warnings[0]
    world.service.pccs.settings = world.service.pccs.settings.promoted()
    world.clock.now += 7 * 3600
    look = await world.examiner.look("monitor", LONG)
    assert (look.verification.verdict, look.verification.tcb_status) == ("degraded", "OutOfDate")


async def test_a_grace_survives_a_restart_and_ends_only_by_a_verified_look(world, tmp_path):
    """Since when is on disk: a new examiner goes on counting."""
    world.service.pccs.settings = Settings.model_validate({"standard": {"status": "OutOfDate"}})
    await world.examiner.look("monitor", LONG)
    kept = tmp_path / "kept"
    noted = json.loads((kept / "attestation-phala.json").read_text())
    assert noted == {"last_seen": NOW, "out_of_date_since": NOW}
    world.clock.now += 100
    again = Examiner(
        world.url, policy(grace="100s"), world.examiner._source, world.clock, entropy(), kept,
        root(),
    )  # fmt: skip
    look = await again.look("monitor", LONG)
    assert codes(look.verification) == ["tcb:grace_over"]
    world.service.pccs.settings = Settings()
    world.clock.now += 7 * 3600
    assert (await again.look("monitor", LONG)).verification.verdict == "verified"
    noted = json.loads((kept / "attestation-phala.json").read_text())
    assert noted["out_of_date_since"] is None


async def test_a_clock_set_back_is_noticed(world):
    """Over restarts too, by what is on disk."""
    await world.examiner.look("monitor", LONG)
    world.clock.now -= 30
    look = await world.examiner.look("monitor", LONG)
    assert codes(look.verification) == ["clock:went_back"]


async def test_a_damaged_memory_stops_rather_than_forget(world, tmp_path):
    """What cannot be read is not nothing."""
    await world.examiner.look("monitor", LONG)
    (tmp_path / "kept" / "attestation-phala.json").write_text("{")
    with pytest.raises(KeepError):
        await world.examiner.look("monitor", LONG)


def test_a_nonce_is_answered_once_and_about_one_thing():
    """Reuse, another purpose and a stranger's nonce are all `used`."""
    book = NonceBook(entropy())
    nonce = book.issue("phala/monitor", NOW)
    assert book.redeem("phala/promote", nonce).used
    assert not book.redeem("phala/monitor", nonce).used
    assert book.redeem("phala/monitor", nonce).used
    assert book.redeem("phala/monitor", Nonce(b"x" * 32, NOW)).used


def test_questions_do_not_pile_up():
    """Unanswered questions are forgotten, and their late answers do not count."""
    book = NonceBook(entropy())
    first = book.issue("a", NOW)
    for _ in range(OPEN_MAX):
        last = book.issue("a", NOW)
    assert book.redeem("a", first).used
    assert not book.redeem("a", last).used


def test_a_shortfall_is_named_number_by_number():
    """A real platform under a later real set: which components are too low."""
    quote = parse_quote(fixture("dcap-qvl/tdx_quote.bin"))
    later = parse_collateral(fixture("near-mpc/2026-08/collateral.json"))
    warning = look_ahead(quote, later, None, 1_787_000_000)
    assert "SGX component 1: 3 below 4" in warning
    assert "TDX component 3: 3 below 4" in warning
    fine = parse_quote(fixture("near-mpc/2026-03/quote.hex"))
    assert look_ahead(fine, later, None, 1_787_000_000) == ""
