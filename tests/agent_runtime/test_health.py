"""What `/health` and `/ready` say rests on what was seen; what was not seen is not well."""

import asyncio

import pytest

from agent_runtime.monitor import keep_asking
from agent_runtime.payments import Plan
from agent_runtime.pulse import Pulse
from agent_runtime.store import open_store


async def reasons(plane):
    answer = await plane.client.get("/ready")
    body = answer.json()
    assert answer.status_code == (200 if body["ready"] else 503)
    assert body["ready"] is not bool(body["reasons"])
    health = (await plane.client.get("/health")).json()
    assert health["readiness"] == {"ready": body["ready"], "reasons": body["reasons"]}
    assert health["status"] == "healthy" or body["reasons"]
    return body["reasons"]


@pytest.fixture
async def seen(plane):
    """A plane whose canary has found everything well."""
    assert (await plane.canary()).status_code == 200
    assert await reasons(plane) == []
    return plane


async def test_a_canary_counts_for_two_intervals(seen, monkeypatch):
    canary = seen.service.canary
    limit = canary.settings.canary_minutes * 60 * 2
    monkeypatch.setattr(canary, "_ended", canary._ended - limit + 60)
    assert await reasons(seen) == []
    monkeypatch.setattr(canary, "_ended", canary._ended - 120)
    (reason,) = await reasons(seen)
    assert reason.endswith("too old to count")
    services = (await seen.client.get("/health")).json()["services"]
    assert set(services.values()) == {"unavailable", "disconnected", "mock"}


async def test_what_an_earlier_process_found_is_shown_and_proves_nothing(
    seen, rails, run_plane, tmp_path
):
    told = {**rails.environ, "PAYMENTS_DB": str(tmp_path / "other.db")}
    async with run_plane(told) as again:
        assert (await again.client.get("/canary")).json()["result"]["ok"] is True
        assert await reasons(again) == ["no canary has run since the start"]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"service": "github"}, ["github is not well (see /canary)"]),
        ({"service": "near"}, ["near is not well (see /canary)"]),
        ({"service": "ping"}, []),
    ],
)
async def test_a_service_that_the_canary_found_unwell_is_a_reason_if_no_work_goes_without_it(
    seen, rails, rule, expected
):
    rails.fault({**rule, "kind": "status", "status": 500})
    await seen.canary()
    assert await reasons(seen) == expected
    rails.heal()
    await seen.canary()
    assert await reasons(seen) == []


async def test_a_signer_key_that_the_account_does_not_have_is_a_reason(rails, run_plane):
    """Another account's key is as good a key as any, and not this account's."""
    told = {**rails.environ, "NEAR_ACCOUNT_ID": rails.environ["NEAR_CONTRACT_ID"]}
    async with run_plane(told) as plane:
        await plane.canary()
        assert await reasons(plane) == ["near is not well (see /canary)"]


async def test_a_payment_that_is_open_for_too_long_is_a_reason(seen):
    plan = Plan("github.com/a/b", "split-1-1", "USDC", 6, 1, (), (), ())
    db, payments = seen.service.db, seen.service.payments
    payments.plan("pay-old", "tester", plan)
    assert await reasons(seen) == []
    with db:
        db.execute("UPDATE payments SET created_at = created_at - 901")
    assert await reasons(seen) == ["1 payments are unresolved for over 15 minutes"]


async def test_a_store_that_takes_no_write_is_a_reason(seen, monkeypatch):
    seen.service.db.execute("PRAGMA query_only=ON")
    try:
        monkeypatch.setattr(seen.service.health.pulse, "_at", float("-inf"))
        assert await reasons(seen) == [
            "the store cannot be written: attempt to write a readonly database"
        ]
    finally:
        seen.service.db.execute("PRAGMA query_only=OFF")


def test_the_store_is_asked_by_writing_to_it_and_not_at_every_question(tmp_path):
    db = open_store(str(tmp_path / "p.db"))
    pulse = Pulse(db)
    assert pulse.fault() == ""
    ((first,),) = db.execute("SELECT at FROM pulse").fetchall()
    assert pulse.fault() == ""
    assert db.execute("SELECT at FROM pulse").fetchall() == [(first,)]
    db.close()
    pulse._at = float("-inf")
    assert pulse.fault() == "Cannot operate on a closed database."


async def test_the_monitor_asks_at_the_start_sooner_after_a_failure_and_never_ends(monkeypatch):
    slept, answers = [], iter([{"ok": True}, {"ok": False}, RuntimeError("broke"), {"ok": 1}])

    class Canary:
        async def run(self):
            answer = next(answers)
            if isinstance(answer, Exception):
                raise answer
            return answer

    async def sleep(seconds):
        slept.append(seconds)
        if len(slept) == 4:
            raise asyncio.CancelledError

    monkeypatch.setattr("agent_runtime.monitor.asyncio.sleep", sleep)
    with pytest.raises(asyncio.CancelledError):
        await keep_asking(Canary(), 1800.0)
    assert slept == [1800.0, 30.0, 30.0, 30.0]


async def test_who_asks_while_a_round_is_made_gets_that_one(rails, run_plane):
    async with run_plane(rails.environ) as plane:
        answers = await asyncio.gather(*(plane.canary() for _ in range(4)))
        assert len({answer.json()["at"] for answer in answers}) == 1
        assert (await plane.canary()).json()["at"] != answers[0].json()["at"]
        assert rails.world.calls["eigenai.checkGrant"] == 2


async def test_a_plane_asks_by_itself_and_becomes_ready(rails, run_plane):
    async with run_plane({**rails.environ, "AGENT_CANARY_MONITOR": "true"}) as plane:
        async with asyncio.timeout(10):
            while plane.service.canary.age is None:  # noqa: ASYNC110 - its end sets nothing else
                await asyncio.sleep(0.02)
        assert await reasons(plane) == []
