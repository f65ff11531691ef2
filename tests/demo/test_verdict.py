"""What counts as an ending by the runbook, and what does not."""

from dataclasses import replace

import pytest

from cutover.demo.faults import FAULTS
from cutover.demo.verdict import Seen, problems


def traffic(total=100, refused=0, **failed):
    by_plane = {plane: {"analyze.ok": 10, "pay.failed": n} for plane, n in failed.items()}
    return {
        "total": total, "failed": sum(failed.values()), "refused": refused, "by_plane": by_plane,
    }  # fmt: skip


def good(name):
    """An ending without fault for a fault."""
    fault = FAULTS[name]
    failed = {fault.failing: 1} if fault.failing else {}
    return Seen(
        result=fault.result,
        rule=fault.rule,
        injected=True,
        decided_s=fault.seconds_max,
        traffic=traffic(refused=int(fault.refused), **failed),
        failed_before=0,
        failed_at_rest=sum(failed.values()),
        risen=(),
    )


WHOLE = Seen("complete", "", False, None, traffic(), 0, None, ())


def test_a_run_that_completes_without_a_failure_passes():
    """The plain demo."""
    assert problems(None, WHOLE) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"result": "held"}, "expected complete"),
        ({"traffic": traffic(total=0)}, "no client request"),
        ({"traffic": traffic(phala=1)}, "1 client requests failed"),
    ],
)
def test_a_plain_run_that_is_not_so_does_not(changes, said):
    """Another end, no clients, or one failed request."""
    assert said in "; ".join(problems(None, replace(WHOLE, **changes)))


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_each_fault_has_an_ending_that_passes(name):
    """And only its own."""
    assert problems(FAULTS[name], good(name)) == []
    assert problems(FAULTS[name], replace(good(name), injected=False))
    assert problems(FAULTS[name], replace(good(name), result="preparing"))
    assert problems(FAULTS[name], replace(good(name), failed_before=1))


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("not-ready", {"rule": "canary-failed"}, "decided by canary-failed"),
        ("not-ready", {"decided_s": 11.0}, "at most 10 s"),
        ("not-ready", {"decided_s": None}, "decided None s"),
        ("not-ready", {"traffic": traffic(phala=61), "failed_at_rest": 61}, "at most 60"),
        (
            "not-ready",
            {"traffic": traffic(hetzner=1), "failed_at_rest": 1},
            "the fault spares",
        ),
        ("not-ready", {"traffic": traffic(phala=3), "failed_at_rest": 2}, "1 failed after all"),
        ("not-ready", {"failed_at_rest": None}, "1 failed after all"),
        ("canary-fails", {"traffic": traffic(phala=1), "failed_at_rest": 1}, "at most 0"),
        ("fallback-down", {"traffic": traffic(hetzner=1)}, "no payment met a clear refusal"),
        ("fallback-down", {"risen": ("create",)}, "create rose"),
        ("conductor-crash", {"traffic": traffic(phala=1)}, "at most 0"),
    ],
)
def test_an_ending_of_another_kind_is_named(name, changes, said):
    """Wrong rule, too late, too many, elsewhere, after the end, or not refused."""
    assert said in "; ".join(problems(FAULTS[name], replace(good(name), **changes)))
