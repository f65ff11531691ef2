"""A plane's own word is read once per look, and is worth what the runbook says."""

import pytest

from conductor.doubles import Scripted
from cutover.conductor.attester import ReportedAttester
from cutover.evidence.observation import Verdict
from cutover.evidence.planes import Answer
from cutover.runbook.gate import Evidence
from virtual import run

ATTESTED = Answer(
    200,
    {"version": "1", "build": "b", "services": {"teeWallet": "tee"}, "compute": "TEE (Intel TDX)"},
)


@pytest.mark.parametrize(
    ("needed", "answer", "expected"),
    [
        (Evidence.REPORTED, ATTESTED, Verdict.VERIFIED),
        (Evidence.VERIFIED, ATTESTED, Verdict.UNVERIFIABLE),
        (Evidence.REPORTED, Answer(200, {"services": {"teeWallet": "mock"}}), Verdict.MISSING),
        (Evidence.REPORTED, Answer(None, error="no route"), Verdict.UNVERIFIABLE),
    ],
)
def test_the_report_is_judged_by_what_the_runbook_needs(needed, answer, expected):
    """Enough for a rehearsal, never for a verified gate; silence is no verdict of absence."""
    plane = Scripted("phala")
    plane.answers["/health"] = (0, answer)
    seen = run(ReportedAttester(plane, needed).look(1_000))
    assert (seen.plane, seen.verdict, seen.evidence) == ("phala", expected, Evidence.REPORTED)
    assert [what for _, what in plane.asked] == ["/health"]
