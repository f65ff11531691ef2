"""What a plane's own words are worth: every lie that today's service tells is seen through."""

import json
from copy import deepcopy

import pytest

from cutover.evidence.observation import Verdict
from cutover.evidence.planes import Answer, read_attestation, read_canary, read_readiness
from cutover.runbook.gate import Evidence

GOOD = {
    "at": "2026-02-23T10:00:00.000Z",
    "ok": True,
    "checks": {
        "github": {"ok": True, "details": '{"full_name":"near/near-sdk-rs","id":1}'},
        "near": {"ok": True, "details": '{"chain_id":"mainnet","amount":"100"}'},
        "pingpay": {"ok": True, "details": '{"success":true,"status":200}'},
        "hotpay": {"ok": True, "details": '{"ok":true,"status":200}'},
        "eigenai": {"ok": True, "details": '{"hasGrant":true,"tokenCount":999}'},
    },
}
HTML = "<!DOCTYPE html><html><body>Not found</body></html>"


def canary(body, status=200, text=""):
    return read_canary("phala", Answer(status, body, text))


def lie(check, details, ok=True):
    body = deepcopy(GOOD)
    body["checks"][check] = {"ok": ok, "details": details}
    return body


def ready(status=200, body=None, text=""):
    return Answer(status, body, text)


class TestReadiness:
    def test_both_words_are_heard(self):
        """`/ready` and `/health` are two statements, kept apart."""
        seen = read_readiness(
            "phala",
            ready(200, {"ready": True, "reasons": []}),
            ready(200, {"readiness": {"ready": True, "reasons": []}}),
        )
        assert (seen.status, seen.ready, seen.health_ready) == (200, True, True)

    @pytest.mark.parametrize(
        "body",
        [None, {}, {"ready": "true"}, {"ready": 1}, {"readiness": {"ready": True}}, [], "ok"],
    )
    def test_a_200_that_does_not_say_ready_is_unknown(self, body):
        """Only the boolean counts; HTML, strings and numbers say nothing."""
        assert read_readiness("phala", ready(200, body), ready(200, {})).ready is None

    def test_a_sick_health_page_does_not_vouch(self):
        """`readiness.ready` under any status but 200 is not heard."""
        body = {"readiness": {"ready": True}}
        assert read_readiness("phala", ready(), ready(500, body)).health_ready is None
        assert read_readiness("phala", ready(), Answer(None, error="reset")).health_ready is None

    def test_reasons_are_told_and_bounded(self):
        """People read why, in at most 200 characters whatever the plane says."""
        body = {"ready": False, "reasons": ["no Ping key", "x" * 10_000]}
        seen = read_readiness("phala", ready(503, body), ready())
        assert seen.ready is False
        assert seen.detail.startswith("503 no Ping key; xxx")
        assert len(seen.detail) <= 200

    def test_no_answer_tells_how_it_failed(self):
        """A transport failure has no status, and its cause as the detail."""
        seen = read_readiness("phala", Answer(None, error="ReadTimeout"), ready())
        assert (seen.status, seen.ready, seen.detail) == (None, None, "ReadTimeout")


class TestCanary:
    def test_the_whole_truth_is_ok(self):
        """Everything in order is recognised as such, else no test here means anything."""
        assert canary(GOOD).ok

    @pytest.mark.parametrize("rail", ["pingpay", "hotpay"])
    def test_one_rail_is_enough(self, rail):
        """The contract asks for one of the two payment rails."""
        assert canary(lie(rail, "HTTP 503", ok=False)).ok

    @pytest.mark.parametrize(
        ("check", "details"),
        [
            ("github", '{"status":"404","message":"Not Found"}'),
            ("github", '{"mock":true}'),
            ("github", HTML),
            ("near", '{"error":{"code":-32000,"message":"down"}}'),
            ("near", '{"error":"connect ECONNREFUSED"}'),
            ("near", '{"ok":true,"mock" : true}'),
            ("eigenai", '{"success":false,"message":"no grant"}'),
            ("eigenai", '{"hasGrant":false}'),
            ("eigenai", '{"mock":true,"tokenCount":100000}'),
            ("eigenai", f'{{"tokenCount":100000,"address":"0x{"0" * 40}"}}'),
            ("eigenai", '{"statusCode":500}'),
            ("eigenai", '{"signature":"0xmocksignature"}'),
            ("eigenai", "This is a mock EigenAI response"),
        ],
    )
    def test_a_detail_contradicts_its_ok(self, check, details):
        """`ok: true` over a detail that says otherwise is a failed check, by name."""
        seen = canary(lie(check, details))
        assert not seen.ok
        assert seen.failed == (check,)
        assert check in seen.detail

    def test_details_may_be_an_object(self):
        """Another implementation may not stringify its details; they are judged all the same."""
        assert not canary(lie("eigenai", {"success": False})).ok
        assert canary(lie("eigenai", {"success": True})).ok

    def test_both_rails_lying_is_no_rail(self):
        """Ping 404 and HOT 500 under ok:true leave no payment rail."""
        body = lie("pingpay", '{"ok":true,"status":404}')
        body["checks"]["hotpay"]["details"] = '{"ok":true,"status":500}'
        seen = canary(body)
        assert (seen.ok, seen.failed) == (False, ("payment_rail",))

    @pytest.mark.parametrize("missing", ["github", "near", "eigenai"])
    def test_a_missing_check_has_failed(self, missing):
        """A canary that leaves out what it must ask proves nothing."""
        body = deepcopy(GOOD)
        del body["checks"][missing]
        assert canary(body).failed == (missing,)

    def test_no_checks_at_all_fail(self):
        """An empty list of checks passes nobody."""
        assert not canary({"ok": True, "checks": {}}).ok

    @pytest.mark.parametrize("status", [503, 201, 500])
    def test_ok_needs_its_status(self, status):
        """`ok: true` under 503 is no verdict of health."""
        seen = canary(GOOD, status)
        assert (seen.ok, seen.failed) == (False, ("ok",))

    @pytest.mark.parametrize("said", ["true", 1, [True]])
    def test_ok_is_a_boolean_or_nothing(self, said):
        """Truthy is not true."""
        assert not canary({**GOOD, "ok": said}).ok

    def test_the_planes_own_no_is_believed(self):
        """`ok: false` fails although every check passes."""
        assert canary({**GOOD, "ok": False}, 503).failed == ("ok",)

    @pytest.mark.parametrize(
        "answer",
        [
            Answer(None, error="no whole answer within 60000 ms"),
            Answer(200, None, HTML),
            Answer(401, {"error": "Unauthorized"}),
            Answer(500, {"error": "boom"}),
            Answer(200, {"ok": True}),
            Answer(200, {"ok": True, "checks": "all"}),
            Answer(200, []),
        ],
    )
    def test_what_is_no_verdict_has_failed(self, answer):
        """Silence, HTML and errors are `no_verdict`, which is a failed run."""
        seen = read_canary("phala", answer)
        assert (seen.ok, seen.failed) == (False, ("no_verdict",))

    def test_the_detail_is_bounded(self):
        """A plane cannot fill the journal."""
        assert len(canary(lie("near", '{"error":"' + "x" * 5_000 + '"}')).detail) <= 200


def health(wallet="tee", compute="Secure TEE (Phala dstack)", status=200, **more):
    body = {"version": "2.0.0", "services": {"teeWallet": wallet}, "compute": compute, **more}
    return Answer(status, body, json.dumps(body))


class TestAttestation:
    def test_reported_evidence_where_it_is_enough(self):
        """Both statements together are a reported verdict, never more."""
        seen = read_attestation("phala", health(), Evidence.REPORTED)
        assert (seen.verdict, seen.evidence) == (Verdict.VERIFIED, Evidence.REPORTED)

    def test_a_report_is_not_a_quote(self):
        """Where the runbook asks for verified evidence, the plane's word verifies nothing."""
        seen = read_attestation("phala", health(), Evidence.VERIFIED)
        assert (seen.verdict, seen.evidence) == (Verdict.UNVERIFIABLE, Evidence.REPORTED)

    @pytest.mark.parametrize("wallet", ["mock", None, "TEE", "tee ", True, {"tee": 1}])
    def test_any_other_wallet_is_missing(self, wallet):
        """`teeWallet` is `tee`, letter by letter, or the plane is not attested."""
        seen = read_attestation("phala", health(wallet), Evidence.REPORTED)
        assert seen.verdict is Verdict.MISSING

    @pytest.mark.parametrize(
        "compute",
        ["Standard (Local)", "", None, 1, ["tee"], "committee", "Local, not attested", "no TEE",
         "TEE simulator"],
    )  # fmt: skip
    def test_the_runtime_string_must_confirm(self, compute):
        """A compute string that does not confirm an attested runtime, or denies one, is missing."""
        seen = read_attestation("phala", health(compute=compute), Evidence.REPORTED)
        assert seen.verdict is Verdict.MISSING

    @pytest.mark.parametrize(
        "answer", [Answer(None, error="refused"), health(status=503), Answer(200, None, HTML)]
    )
    def test_no_usable_answer_is_unverifiable(self, answer):
        """Silence is not a confession: the last good verdict lives on until its age limit."""
        seen = read_attestation("phala", answer, Evidence.REPORTED)
        assert seen.verdict is Verdict.UNVERIFIABLE
        assert seen.identity == ""

    def test_another_build_is_another_identity(self):
        """Evidence about one build does not count for the next."""
        first = read_attestation("phala", health(build="a"), Evidence.REPORTED)
        second = read_attestation("phala", health(build="b"), Evidence.REPORTED)
        assert first.identity != second.identity

    def test_a_plane_cannot_fill_the_journal(self):
        """Whatever it says of itself is cut before it is recorded."""
        long = "tee " * 50_000
        seen = read_attestation("phala", health(compute=long, version=long), Evidence.REPORTED)
        assert len(seen.identity) < 500
        assert sum(map(len, seen.reasons)) < 500
