"""GitHub's limits are kept to, by all who ask as the same, and a limited call is no "no"."""

import asyncio
import time

import pytest
import pytest_asyncio

from agent_runtime import wire
from agent_runtime.errors import RailError, RailUnknown
from agent_runtime.grammar import Repo
from agent_runtime.rails import pause
from agent_runtime.rails.github import GitHub
from agent_runtime.rails.github_api import CALL_SECONDS
from agent_runtime.settings import Settings
from agent_runtime.wire import Answer

pytestmark = pytest.mark.asyncio(loop_scope="module")
WIDGETS, NO_APP = Repo("acme", "widgets"), Repo("acme", "no-app")


@pytest_asyncio.fixture(loop_scope="module")
async def github(rails_shared):
    client = wire.new_client()
    yield GitHub(client, Settings.from_environ(rails_shared.environ))
    await client.aclose()


def limited(**more):
    return {"service": "github", "operation": "repo", "kind": "status", "status": 429, **more}


async def test_a_short_pause_is_sat_out_within_the_call_by_all(github, rails_shared):
    rails_shared.fault(limited(retry_after=1, count=1))
    calls, begun = rails_shared.world.calls, time.monotonic()
    first = asyncio.create_task(github.metadata(WIDGETS))
    before = calls["github.repo"]
    while not github._api._pauses._until:
        assert time.monotonic() - begun < CALL_SECONDS
        await asyncio.sleep(0.005)
    found = await asyncio.gather(first, *(github.metadata(WIDGETS) for _ in range(3)))
    assert {record["full_name"] for record in found} == {"acme/widgets"}
    assert calls["github.repo"] == before + 1 + 4
    assert 1.0 <= time.monotonic() - begun < CALL_SECONDS


async def test_a_long_pause_is_unknown_at_once_and_nobody_asks_meanwhile(github, rails_shared):
    rails_shared.fault(limited(retry_after=600))
    before = rails_shared.world.calls["github.repo"]
    begun = time.monotonic()
    for repo in (WIDGETS, Repo("acme", "bots"), WIDGETS):
        with pytest.raises(RailUnknown, match=r"rate limit reached; nothing is asked for (60|59)"):
            await github.metadata(repo)
    assert time.monotonic() - begun < 1.0
    assert rails_shared.world.calls["github.repo"] == before + 1


async def test_another_credential_has_a_limit_of_its_own(github, rails_shared):
    rails_shared.fault(limited(retry_after=600, count=1))
    with pytest.raises(RailUnknown):
        await github.metadata(WIDGETS)
    found, by = await github.metadata_signed(NO_APP)
    assert (found["full_name"], by.who) == ("acme/no-app", "personal token")


async def test_a_403_of_the_limit_is_unknown_and_any_other_403_is_a_no(github, rails_shared):
    rails_shared.fault(limited(status=403, count=1))
    with pytest.raises(RailError) as refused:
        await github.metadata(WIDGETS)
    assert not isinstance(refused.value, RailUnknown)
    rails_shared.fault({"service": "github", "operation": "*", "kind": "wrong",
                        "variant": "rate_limited"})  # fmt: skip
    with pytest.raises(RailUnknown, match="rate limit reached"):
        await github.metadata(NO_APP)


def answer(status, body=b"{}", **headers):
    return Answer("github", status, {k.replace("_", "-"): v for k, v in headers.items()}, body)


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (answer(429), 60.0),
        (answer(429, retry_after="7"), 7.0),
        (answer(403, retry_after="0"), pause.LEAST_SECONDS),
        (answer(429, retry_after="soon"), 60.0),
        (answer(429, retry_after="99999999"), pause.MOST_SECONDS),
        (answer(403, b'{"message": "You have exceeded a secondary rate limit"}'), 60.0),
    ],
)
async def test_how_long_a_pause_is(given, seconds):
    pauses = pause.Pauses("github")
    assert pauses.heed("app", given)
    assert pauses._until["app"] - time.monotonic() == pytest.approx(seconds, abs=0.5)


async def test_a_spent_budget_pauses_until_its_reset_before_anything_is_refused():
    pauses, reset = pause.Pauses("github"), str(int(time.time()) + 30)
    spent = {"x_ratelimit_remaining": "0", "x_ratelimit_reset": reset}
    for status, is_limit in ((200, False), (403, True)):
        assert pauses.heed(str(status), answer(status, **spent)) is is_limit
        assert pauses._until[str(status)] - time.monotonic() == pytest.approx(30, abs=1.5)


async def test_limits_without_a_time_back_off_further_each_time_until_one_call_works():
    pauses, seen = pause.Pauses("github"), []
    for given in (answer(429), answer(429), answer(200), answer(429)):
        pauses._until.clear()
        pauses.heed("app", given)
        seen.append(round(pauses._until.get("app", time.monotonic()) - time.monotonic()))
    assert seen == [60, 120, 0, 60]


async def test_the_canary_says_who_authenticated_and_takes_nobody_for_the_app(
    rails_shared, run_plane
):
    for repo, ok, words in (
        ("acme/widgets", True, '"authenticated":"installation '),
        ("acme/no-app", False, "the personal token was answered, not the App"),
    ):
        async with run_plane({**rails_shared.environ, "TEST_ANALYZE_REPO": repo}) as plane:
            check = (await plane.canary()).json()["checks"]["github"]
        assert check["ok"] is ok
        assert words in check["details"]
