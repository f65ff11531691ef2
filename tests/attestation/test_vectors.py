"""Real and synthetic evidence from elsewhere, judged offline at its own time."""

import json

import pytest

from attestation.world import VECTORS, Plane, collateral, fixture, real, root
from cutover.attestation import dcap
from cutover.attestation.bundle import Asked, Bundle
from cutover.attestation.collateral import parse_collateral
from cutover.attestation.eventlog import parse_event_log, read_facts, replay
from cutover.attestation.quote import parse_quote
from cutover.attestation.strict import MalformedError
from cutover.attestation.verdict import Step
from cutover.attestation.verifier import verify

WITHOUT_STATUS = {"expired", "not_yet_valid", "not_tdx", "other_fmspc"}
BY_STATUS = {
    "UpToDate": "verified",
    "SWHardeningNeeded": "degraded",
    "ConfigurationNeeded": "degraded",
    "ConfigurationAndSWHardeningNeeded": "degraded",
    "OutOfDate": "degraded",
    "OutOfDateConfigurationNeeded": "invalid",
}
STRICTER = {
    "dcap-qvl-sgx-config-and-hardening": "invalid",  # not TDX
    "synthetic-second-compose-hash-event": "invalid",  # said again after system-ready
}
"""Where the signatures hold and our rules do not."""
OUTSIDE = {
    "dcap-qvl-collateral-expired",
    "dcap-qvl-crl-expired-but-tcbinfo-valid",
    "dcap-qvl-collateral-not-yet-valid",
    "dcap-qvl-tdx-with-sgx-collateral",
    "dcap-qvl-wrong-fmspc",
    "synthetic-short-lived-expired",
}
"""Where nothing is wrong with the quote: the collateral is of no use."""


def expected_verdict(case):
    """The verdict that a case of `vectors.json` must have."""
    if case["name"] in STRICTER:
        return STRICTER[case["name"]]
    if case["expect"]["ok"]:
        return BY_STATUS[case["expect"]["status"]]
    return "unverifiable" if case["name"] in OUTSIDE else "invalid"


def bundle_of(case):
    parts = {name: fixture(case[name]) for name in ("event_log", "app_compose") if name in case}
    return Bundle(quote=fixture(case["quote"]), **parts)


def judged(case):
    root = fixture(case["root"]) if case["root"] else None
    collateral = parse_collateral(fixture(case["collateral"]))
    return verify(bundle_of(case), collateral, None, Asked(case["now"], live=False, root=root))


CASES = pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda c: c["name"])
LOGS = pytest.mark.parametrize("case", VECTORS["event_logs"], ids=lambda c: c["name"])


def test_all_vectors_are_here():
    """The table is not judged by a part of it."""
    assert len(VECTORS["cases"]) == 28
    assert len(VECTORS["event_logs"]) == 9


@CASES
def test_each_case_is_judged_as_expected(case):
    """Verdict, TCB status and advisories of every case, at its own moment."""
    found = judged(case)
    assert found.verdict == expected_verdict(case)
    if case["expect"]["ok"] and case["name"] != "dcap-qvl-sgx-config-and-hardening":
        assert found.tcb_status == case["expect"]["status"]
        assert list(found.advisory_ids) == case["expect"]["advisory_ids"]
    else:
        assert found.tcb_status == ""
    assert found.test_root is (case["root"] is not None)
    good = found.verdict in {"verified", "degraded"}
    assert found.deadline > found.checked_at if good else found.deadline == found.checked_at


@CASES
def test_each_step_speaks_in_order(case):
    """No step is left out, whatever fails before it, and their order is the pipeline's."""
    steps = [reason.step for reason in judged(case).reasons]
    assert list(dict.fromkeys(steps)) == list(Step)


@pytest.mark.parametrize(
    "case", [c for c in VECTORS["cases"] if "report" in c], ids=lambda c: c["name"]
)
def test_registers_are_read_where_they_stand(case):
    """Every register that the vectors name, and the compose-hash where there is a log."""
    report = parse_quote(fixture(case["quote"])).report
    assert {name: getattr(report, name).hex() for name in case["report"]} == case["report"]
    if "compose_hash" in case and case["name"] not in STRICTER:
        found = judged(case)
        assert found.compose_hash == case["compose_hash"]


@pytest.mark.parametrize(
    "case",
    [c for c in VECTORS["cases"] if c.get("rtmr_replay_ok") and c["root"] is None],
    ids=lambda c: c["name"],
)
def test_real_logs_replay_to_all_four_registers(case):
    """0.3, 0.5 and 0.6 logs lead to RTMR0 to 3 of their quotes, event by event."""
    log = parse_event_log(fixture(case["event_log"]))
    assert replay(log, parse_quote(fixture(case["quote"])).report) == [0, 1, 2, 3]
    assert [event.name for event in log.runtime] == case["runtime_events"]
    assert read_facts(log, None).compose_hash.hex() == case["compose_hash"]


@LOGS
def test_each_log_is_accepted_or_refused(case):
    """The four traps of a replay, and both ways to write a good log."""
    found = verify(
        Bundle(quote=fixture(case["quote"]), event_log=fixture(case["event_log"])),
        None,
        None,
        Asked(1, live=False),
    )
    assert found.holds(Step.EVENT_LOG) is (case["expect"] == "accept")


def test_an_application_event_counts_only_by_name():
    """With a list of names, an event that is not on it is refused, and one that is passes."""
    log = parse_event_log(fixture("dstack/real_ok.event_log.json"))
    assert read_facts(log, {"LIUM_MINER_HOTKEY"}).application == ("LIUM_MINER_HOTKEY",)
    with pytest.raises(MalformedError, match="LIUM_MINER_HOTKEY"):
        read_facts(log, set())


@pytest.mark.parametrize(
    "name",
    ["near-mpc/2026-08/collateral.json", "dcap-qvl/tdx_quote_collateral.json"],
)
def test_the_window_is_the_verifier_s_own(name):
    """Collateral holds in its last second and no longer, as dcap-qvl itself has it."""
    quote = {"n": "near-mpc/2026-08/quote.hex", "d": "dcap-qvl/tdx_quote.bin"}[name[0]]
    quote, collateral = parse_quote(fixture(quote)), parse_collateral(fixture(name))
    dcap.verify(quote, collateral, None, collateral.ends - 1)
    with pytest.raises(dcap.RejectedError) as refused:
        dcap.verify(quote, collateral, None, collateral.ends)
    assert refused.value.code == "expired"


@pytest.mark.parametrize("part", ["tcb_info", "qe_identity", "pck_crl", "root_crl"])
def test_whichever_document_ends_first_ends_the_window(part):
    """TCB info and identity hold through their last second, revocation lists until before it."""
    papers = collateral(**{part: {"life_seconds": 7200}})
    quote = parse_quote(Plane().bundle().quote)
    dcap.verify(quote, papers, root(), papers.ends - 1)
    with pytest.raises(dcap.RejectedError):
        dcap.verify(quote, papers, root(), papers.ends)


def test_the_chain_of_one_machine_is_cut_off():
    """A set with a PCK chain is kept without it, and verifies another machine of the family."""
    text = fixture("near-mpc/2026-08/collateral_with_pck_chain.json")
    assert "pck_certificate_chain" in json.loads(text)
    collateral = parse_collateral(text)
    assert "pck_certificate_chain" not in json.loads(collateral.text)
    other = parse_quote(fixture("near-mpc/2026-03/quote.hex"))
    assert dcap.verify(other, collateral, None, 1_787_000_000).status == "UpToDate"


def test_expired_collateral_does_not_hide_a_bad_quote():
    """Out of the window a good quote is unverifiable, and a bent one invalid."""
    bundle, collateral, _ = real()
    late = Asked(collateral.ends + 1, live=False)
    assert verify(bundle, collateral, None, late).verdict == "unverifiable"
    bent = bytearray(bundle.quote)
    bent[200] ^= 1
    bent = Bundle(quote=bytes(bent))
    assert verify(bent, collateral, None, late).verdict == "invalid"
