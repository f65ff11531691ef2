"""Collateral from services that fail, lag and lie, and what is kept of it."""

import asyncio
import json

import pytest

from attestation.served import Clock, pccs
from attestation.world import NOW, Plane, collateral, fixture, root
from cutover.attestation import dcap
from cutover.attestation.collateral import Floor, parse_collateral, root_sha256
from cutover.attestation.collateral_proof import prove
from cutover.attestation.collateral_source import CollateralSource
from cutover.attestation.gather import INTEL, endpoint
from cutover.attestation.keep import KeepError
from cutover.attestation.pccs import Endpoint
from cutover.attestation.quote import parse_quote
from cutover.attestation.strict import MalformedError
from sandbox.faults import Rule
from sandbox.tee.settings import Collateral as Settings

PLATFORM = dcap.platform_of(parse_quote(Plane().bundle().quote))
SECOND = 2000
HOUR, DAY = 3600, 86_400


def source(folder, clock, *urls):
    return CollateralSource([Endpoint(url) for url in urls], folder, clock, root())


def broken(served, kind="wrong", **more):
    served.faults.replace([Rule(service="pccs", kind=kind, **more)])


async def test_a_set_is_fetched_proved_and_kept(tmp_path):
    """What the service has is what the library makes, and a new process finds it on disk."""
    clock = Clock()
    async with pccs(clock) as served:
        found = await source(tmp_path, clock, served.url).get(PLATFORM, SECOND)
        assert found.troubles == ()
        assert found.floor == found.collateral.evaluation == Floor(20, 20)
        assert dcap.verify(parse_quote(Plane().bundle().quote), found.collateral, root(), NOW)
    again = await source(tmp_path, clock).get(PLATFORM, SECOND)
    assert again.collateral.text == found.collateral.text
    assert again.floor == found.floor


async def test_an_outage_costs_freshness_only(tmp_path):
    """The kept set serves on while every service fails, and the trouble is told."""
    clock = Clock()
    async with pccs(clock) as served:
        ours = source(tmp_path, clock, served.url)
        first = await ours.get(PLATFORM, SECOND)
        clock.now += 7 * HOUR
        broken(served, "status")
        later = await ours.get(PLATFORM, SECOND)
        assert later.collateral is first.collateral
        assert "status" in later.troubles[0] or "50" in later.troubles[0]
        calls = sum(served.calls.values())
        assert (await ours.get(PLATFORM, SECOND)).collateral is first.collateral
        assert sum(served.calls.values()) == calls, "a failed round is not repeated at once"
        served.faults.clear()
        clock.now += 61
        assert (await ours.get(PLATFORM, SECOND)).collateral.issued > first.collateral.issued


async def test_the_second_service_serves_when_the_first_does_not(tmp_path):
    """Any of several services is enough."""
    clock = Clock()
    async with pccs(clock) as bad, pccs(clock) as good:
        broken(bad, "hang")
        found = await source(tmp_path, clock, bad.url, good.url).get(PLATFORM, 1000)
        assert found.collateral is not None
        assert bad.url in found.troubles[0]


@pytest.mark.parametrize(
    "variant",
    [
        "not_found",
        "bad_signature",
        "foreign_root",
        "other_fmspc",
        "sgx",
        "no_chain",
        "oversized",
        "html",
    ],
)
async def test_rubbish_is_never_accepted(tmp_path, variant):
    """Whatever a service hands out instead, nothing is kept and nothing raises the floor."""
    clock = Clock()
    async with pccs(clock, standard={"number": 99}) as served:
        broken(served, variant=variant)
        found = await source(tmp_path, clock, served.url).get(PLATFORM, SECOND)
    assert found.collateral is None
    assert found.floor == Floor()
    assert found.troubles
    assert list(tmp_path.iterdir()) == []


async def test_evaluation_numbers_never_go_down(tmp_path):
    """A service that lags behind what was seen is refused, also after a restart."""
    clock = Clock()
    async with pccs(clock, standard={"number": 21}) as served:
        newer = await source(tmp_path, clock, served.url).get(PLATFORM, SECOND)
        served.pccs.settings = Settings.model_validate({"standard": {"number": 20}})
        clock.now += 7 * HOUR
        kept = await source(tmp_path, clock, served.url).get(PLATFORM, SECOND)
    assert kept.collateral.text == newer.collateral.text
    assert "at least 21, 21" in kept.troubles[0]


async def test_the_early_set_is_not_kept(tmp_path):
    """Looking ahead raises no floor and replaces nothing."""
    clock = Clock()
    early = {"number": 22, "status": "OutOfDate"}
    async with pccs(clock, early=early) as served:
        ours = source(tmp_path, clock, served.url)
        ahead = await ours.early(PLATFORM, SECOND)
        assert ahead.collateral.evaluation.tcb == 22
        assert (await ours.get(PLATFORM, SECOND)).collateral.evaluation.tcb == 20


async def test_a_damaged_file_of_ours_stops_rather_than_forget(tmp_path):
    """A floor that cannot be read is not zero."""
    clock = Clock()
    async with pccs(clock) as served:
        await source(tmp_path, clock, served.url).get(PLATFORM, SECOND)
        (path,) = tmp_path.iterdir()
        for text in ("{", "{}", json.dumps({**json.loads(path.read_text()), "floor": "high"})):
            path.write_text(text)
            with pytest.raises(KeepError, match="move it away"):
                await source(tmp_path, clock, served.url).get(PLATFORM, SECOND)


@pytest.mark.parametrize(
    "name",
    [
        "near-mpc/2026-08/collateral.json",
        "near-mpc/2026-03/collateral.json",
        "dcap-qvl/tdx_quote_collateral.json",
        "dstack/collateral_90C06F000000_2026-04-15_composed.json",
    ],
)
def test_real_sets_prove_themselves_under_intel_s_root(name):
    """Every document of a genuine set is signed up to the root."""
    found = parse_collateral(fixture(name))
    prove(found, dcap.INTEL_ROOT_SHA256)
    with pytest.raises(MalformedError, match="root"):
        prove(found, "00" * 32)


@pytest.mark.parametrize(
    "part",
    [
        "tcb_info",
        "tcb_info_signature",
        "qe_identity",
        "qe_identity_signature",
        "pck_crl",
        "root_ca_crl",
        "tcb_info_issuer_chain",
        "pck_crl_issuer_chain",
    ],
)
def test_one_foreign_part_spoils_a_set(part):
    """Each part is checked: none may come from somewhere else."""
    from sandbox.tee.machine import Machine

    own = json.loads(collateral().text)
    other = json.loads(
        collateral(Machine(b"another root", nonce="x"), standard={"number": 21}).text
    )
    assert own[part] != other[part]
    mixed = parse_collateral(json.dumps({**own, part: other[part]}))
    with pytest.raises(MalformedError):
        prove(mixed, root_sha256(root()))


def test_a_revoked_signer_proves_nothing():
    """The root's list is looked at for the signer of TCB info and for the PCK authority."""
    for name in ("tcb-signer", "pck-platform-ca"):
        with pytest.raises(MalformedError, match="revoked"):
            prove(collateral(revoked=[name]), root_sha256(root()))


async def test_a_service_without_the_root_s_list_has_it_elsewhere(tmp_path):
    """Intel's own service: the list comes in DER from another address."""
    from sandbox.tee.collateral import Maker

    clock = Clock()
    der = Maker(Plane().machine.platform, Settings(), NOW).root_crl()

    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 200 x\r\ncontent-length: {len(der)}\r\nconnection: close\r\n\r\n"
        writer.write(head.encode() + der)
        await writer.drain()
        writer.close()

    async with pccs(clock) as served, await asyncio.start_server(serve, "127.0.0.1", 0) as other:
        served.faults.replace([Rule(service="pccs", operation="rootcacrl", kind="status")])
        port = other.sockets[0].getsockname()[1]
        both = Endpoint(served.url, f"http://127.0.0.1:{port}/root.der")
        ours = CollateralSource([both], tmp_path, clock, root())
        found = await ours.get(PLATFORM, SECOND)
    assert found.troubles == ()
    assert json.loads(found.collateral.text)["root_ca_crl"] == der.hex()


def test_only_intel_s_own_service_has_the_list_elsewhere():
    """Every other service is asked for it like for the rest."""
    assert endpoint(INTEL + "/").root_crl_url.startswith("https://")
    assert endpoint("https://pccs.example").root_crl_url == ""
