"""Quotes and collateral made here are judged by dcap-qvl as real ones are."""

import json
from dataclasses import replace
from typing import get_args

import dcap_qvl
import pytest
from cryptography import x509

from sandbox.tee.collateral import Maker
from sandbox.tee.forgery import QUOTE_FORGERIES
from sandbox.tee.pki import Pki
from sandbox.tee.platform import Platform
from sandbox.tee.quote import QUOTE_SIZE, REPORT_DATA_AT, SIGNED_SIZE, TdReport, make_quote
from sandbox.tee.settings import DAY, Collateral, Dates, EvaluationSet, TcbStatus

NOW = 1_790_000_000
PLATFORM = Platform(Pki(b"quote tests"))
REPORT = TdReport(
    tee_tcb_svn=bytes(PLATFORM.svns.tdx),
    mr_td=b"\x11" * 48,
    rtmrs=(b"\x20" * 48, b"\x21" * 48, b"\x22" * 48, b"\x23" * 48),
    report_data=bytes(range(64)),
    mr_config_id=b"\x01" + b"\x33" * 47,
)
GOOD = make_quote(PLATFORM, REPORT)

REFUSALS = {
    "bad_signature": "report signature is invalid",
    "patched_report_data": "report signature is invalid",
    "uncertified_key": "QE report hash mismatch",
    "foreign_pck": "Signature is invalid for qe_report",
    "foreign_root": "Failed to verify certificate chain",
    "debug": "Debug mode is enabled",
    "sept_ve_enabled": "SEPT_VE_DISABLE is not enabled",
}


def judged(quote=GOOD, settings=None, *, platform=PLATFORM, root=None, now=NOW, update="standard"):
    """What dcap-qvl says; raises ValueError where it refuses."""
    text = Maker(platform, settings or Collateral(), NOW).json(update)
    collateral = dcap_qvl.QuoteCollateralV3.from_json(text)
    return dcap_qvl.verify_with_root_ca(quote, collateral, root or PLATFORM.pki.root.der, now)


def with_status(status, **more):
    return Collateral(standard=EvaluationSet(status=status, **more))


class TestGood:
    def test_a_quote_verifies_and_says_what_was_put_into_it(self):
        verified = judged()
        report = json.loads(verified.to_json())["report"]["TD10"]
        assert (verified.status, verified.advisory_ids) == ("UpToDate", [])
        assert bytes(verified.ppid) == PLATFORM.ppid
        assert report["report_data"] == REPORT.report_data.hex()
        assert report["mr_td"] == REPORT.mr_td.hex()
        assert report["mr_config_id"] == REPORT.mr_config_id.hex()
        seen = tuple(bytes.fromhex(report[f"rt_mr{n}"]) for n in range(4))
        assert seen == REPORT.rtmrs

    def test_a_quote_has_the_layout_and_the_length_of_a_real_one(self):
        quote = dcap_qvl.parse_quote(GOOD)
        assert quote.is_tdx()
        assert (quote.header.version, quote.ca(), quote.fmspc()) == (4, "platform", PLATFORM.fmspc)
        assert len(GOOD) == QUOTE_SIZE
        assert GOOD[REPORT_DATA_AT:SIGNED_SIZE] == REPORT.report_data

    def test_the_same_seed_gives_the_same_bytes_and_another_seed_other_ones(self):
        again = Platform(Pki(b"quote tests"))
        other = Platform(Pki(b"another seed"))
        assert make_quote(again, REPORT) == GOOD
        assert Maker(again, Collateral(), NOW).json() == Maker(PLATFORM, Collateral(), NOW).json()
        assert again.pki.root.der == PLATFORM.pki.root.der
        assert other.pki.root.der != PLATFORM.pki.root.der
        assert make_quote(other, REPORT)[SIGNED_SIZE:] != GOOD[SIGNED_SIZE:]

    def test_a_field_of_a_wrong_size_is_refused(self):
        with pytest.raises(ValueError, match="47 bytes, not 48"):
            make_quote(PLATFORM, replace(REPORT, mr_td=bytes(47)))

    def test_the_chain_holds_together(self):
        """Every certificate is signed by the next one, up to the self-signed root."""
        chain = x509.load_pem_x509_certificates(PLATFORM.pck_chain.encode())
        for subject, issuer in zip(chain, [*chain[1:], chain[-1]], strict=True):
            subject.verify_directly_issued_by(issuer)
        assert len(chain) == 3


class TestForged:
    def test_every_forgery_is_tried(self):
        assert set(REFUSALS) == set(QUOTE_FORGERIES)

    @pytest.mark.parametrize("name", sorted(QUOTE_FORGERIES))
    def test_every_forgery_is_refused_for_its_own_reason(self, name):
        forged = QUOTE_FORGERIES[name](PLATFORM, REPORT)
        assert dcap_qvl.parse_quote(forged).is_tdx()
        with pytest.raises(ValueError, match=REFUSALS[name]):
            judged(forged)

    @pytest.mark.parametrize("name", sorted(QUOTE_FORGERIES))
    def test_a_forgery_still_carries_the_report_data_that_were_asked_for(self, name):
        """Otherwise the nonce would give it away, and the signature need not be looked at."""
        forged = QUOTE_FORGERIES[name](PLATFORM, REPORT)
        assert forged[REPORT_DATA_AT:SIGNED_SIZE] == REPORT.report_data

    @pytest.mark.parametrize("at", range(0, SIGNED_SIZE, 29))
    def test_no_signed_byte_can_be_changed(self, at):
        changed = bytearray(GOOD)
        changed[at] ^= 0x10
        with pytest.raises(ValueError, match=r"\w"):
            judged(bytes(changed))

    def test_a_foreign_root_verifies_under_itself_only(self):
        forged = QUOTE_FORGERIES["foreign_root"](PLATFORM, REPORT)
        other = Platform(Pki(b"mine alone"))
        quote = make_quote(other, REPORT)
        assert judged(quote, platform=other, root=other.pki.root.der).status == "UpToDate"
        for bad in (forged, quote):
            with pytest.raises(ValueError, match="Verification failed"):
                judged(bad)


class TestCollateral:
    @pytest.mark.parametrize("status", [s for s in get_args(TcbStatus) if s != "Revoked"])
    def test_every_status_is_reported_with_its_advisories(self, status):
        verified = judged(settings=with_status(status, advisories=("INTEL-SA-01192",)))
        assert (verified.status, verified.advisory_ids) == (status, ["INTEL-SA-01192"])

    @pytest.mark.parametrize("status", ["Revoked", "NoMatchingLevel"])
    def test_a_platform_without_a_good_level_is_refused(self, status):
        with pytest.raises(ValueError, match=r"Revoked|No matching TCB level"):
            judged(settings=with_status(status))

    @pytest.mark.parametrize("part", ["module_status", "qe_status"])
    def test_an_old_module_or_enclave_makes_the_platform_out_of_date(self, part):
        assert judged(settings=with_status("UpToDate", **{part: "OutOfDate"})).status == "OutOfDate"

    def test_a_patched_platform_is_up_to_date_again(self):
        """Out of date means that a higher level exists; raising the platform to it helps."""
        settings = with_status("OutOfDate")
        patched = PLATFORM.svns.patched()
        new = replace(PLATFORM, svns=patched)
        quote = make_quote(new, replace(REPORT, tee_tcb_svn=bytes(patched.tdx)))
        assert judged(settings=settings).status == "OutOfDate"
        assert judged(quote, settings).status == "UpToDate"

    @pytest.mark.parametrize("name", [PLATFORM.name, "tcb-signer", "pck-platform-ca"])
    def test_a_revoked_certificate_ends_it(self, name):
        with pytest.raises(ValueError, match="CertRevoked"):
            judged(settings=Collateral(revoked=(name,)))

    def test_revoking_somebody_else_changes_nothing(self):
        assert judged(settings=Collateral(revoked=("platform-2",))).status == "UpToDate"

    @pytest.mark.parametrize("part", ["tcb_info", "qe_identity", "pck_crl", "root_crl"])
    def test_each_document_expires_on_its_own(self, part):
        settings = Collateral(**{part: Dates(age_seconds=10 * DAY, life_seconds=9 * DAY)})
        with pytest.raises(ValueError, match="xpired"):
            judged(settings=settings)

    @pytest.mark.parametrize("part", ["tcb_info", "qe_identity"])
    def test_a_document_of_tomorrow_is_refused_today(self, part):
        settings = Collateral(**{part: Dates(age_seconds=-DAY)})
        with pytest.raises(ValueError, match="in the future"):
            judged(settings=settings)
        assert judged(settings=settings, now=NOW + 2 * DAY).status == "UpToDate"

    def test_a_frozen_service_grows_stale(self):
        settings = Collateral(frozen_at=NOW - 29 * DAY)
        assert judged(settings=settings).status == "UpToDate"
        with pytest.raises(ValueError, match="xpired"):
            judged(settings=settings, now=NOW + 2 * DAY)

    def test_a_certificate_of_the_platform_can_end(self):
        ended = replace(PLATFORM, pck_not_after=NOW - 1)
        quote = make_quote(ended, REPORT)
        with pytest.raises(ValueError, match="CertExpired"):
            judged(quote)

    def test_the_early_set_shows_the_recovery_before_it_bites(self):
        coming = EvaluationSet(number=21, status="OutOfDate", advisories=("INTEL-SA-01312",))
        settings = Collateral(early=coming)
        assert judged(settings=settings).status == "UpToDate"
        assert judged(settings=settings, update="early").status == "OutOfDate"
        assert judged(settings=settings.promoted()).status == "OutOfDate"
        assert Maker(PLATFORM, settings.promoted(), NOW).settings.standard.number == 21

    def test_nothing_is_promoted_when_there_is_no_early_set(self):
        with pytest.raises(ValueError, match="no early set"):
            Collateral().promoted()

    def test_collateral_for_another_kind_of_platform_is_refused(self):
        other = replace(PLATFORM, fmspc="90C06F000000")
        with pytest.raises(ValueError, match="Verification failed"):
            judged(platform=other)
