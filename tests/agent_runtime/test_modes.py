"""Modes belong to one author in one channel, and outlive a restart."""

import re
import sqlite3

import pytest

from agent_runtime import modes
from agent_runtime.errors import Refusal
from agent_runtime.modes import Caller, Execution

PAY = "pay 10 USDC to acme/widgets"

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def rails(rails_shared):
    return rails_shared


@pytest.fixture
def plane(plane_shared):
    return plane_shared


async def test_draft_plans_what_execute_does_and_lasts_over_a_restart(rails, run_plane):
    async with run_plane(rails.environ) as plane:
        assert (await plane.say("@gitsplits mode draft")).startswith("✅ Mode: draft (")
    before = rails.transactions()
    async with run_plane(rails.environ) as plane:
        text = await plane.say("create split for acme/no-app", key="k1")
        assert text.startswith("📝 Plan for create; nothing has been done yet\n```json\n")
        assert '"ada": "80%"' in text
        assert "onchain_state_change" in text
        assert rails.transactions() == before
        assert (await plane.say("approve")).startswith("✅ Split created for")
        again = re.search(r"plan-[0-9a-f]{10}", text)[0]
        assert (await plane.say(f"approve {again}")) == f"Plan {again} was carried out already"
        assert (await plane.say(PAY, key="k2")).startswith("📝 Plan for pay")
        await plane.say("set mode execute")
        assert (await plane.say(PAY, key="k3")).startswith("✅ Distributed")


async def test_the_same_name_in_another_channel_is_somebody_else(plane):
    await plane.say("mode draft", author="1234", type="web")
    cast = await plane.say(PAY, author="1234", type="cast", key="cast")
    assert cast.startswith("✅ Distributed")


async def test_an_advisor_only_shows_and_carries_nothing_out(plane, rails):
    before = rails.transactions()
    await plane.say("mode draft")
    draft = await plane.say(PAY, key="draft")
    await plane.say("mode advisor")
    text = await plane.say(PAY, key="advice")
    assert text.endswith(
        "Advice only: say `mode draft` for plans that can be approved, or `mode execute`"
    )
    assert '"expiresAt": null' in text
    shown = re.search(r"plan-[0-9a-f]{10}", text)[0]
    assert (await plane.say(f"approve {shown}")).startswith("Pending plan mismatch")
    plan = re.search(r"plan-[0-9a-f]{10}", draft)[0]
    assert (await plane.say(f"approve {plan}")).startswith("🛑 Advisor mode carries nothing out")
    assert rails.transactions() == before


async def test_nobody_in_particular_has_no_mode(plane):
    for author in ("", *modes.SHARED_AUTHORS):
        text = await plane.say("mode draft", author=author)
        assert text.startswith("🛑 Mode not changed: ")
    assert (await plane.say(PAY, author="web_user", key="anybody")).startswith("✅ Distributed")


async def test_the_default_and_the_demand_for_approval_come_from_the_settings(rails, run_plane):
    before = rails.transactions()
    for variable in ({"AGENT_DEFAULT_EXEC_MODE": "draft"}, {"AGENT_REQUIRE_APPROVAL": "true"}):
        async with run_plane({**rails.environ, **variable}) as plane:
            text = await plane.say(PAY, key="k" + "".join(variable))
            assert text.startswith("📝 Plan for pay")
    assert rails.transactions() == before


async def test_where_no_author_more_is_taken_nobodys_choice_is_lost(monkeypatch):
    """To drop the oldest would make somebody's `draft` an `execute`."""
    db = sqlite3.connect(":memory:")
    kept, one, other = modes.Modes(db, Execution.EXECUTE), Caller("web", "a"), Caller("web", "b")
    monkeypatch.setattr(modes, "AUTHORS_MAX", 1)
    kept.choose(one, Execution.DRAFT)
    with pytest.raises(Refusal, match="too many authors"):
        kept.choose(other, Execution.DRAFT)
    kept.choose(one, Execution.ADVISOR)
    assert (kept.execution(one), kept.execution(other)) == (Execution.ADVISOR, Execution.EXECUTE)
    db.close()


async def test_hands_off_is_told_no_next_step(plane):
    assert "Create a split: create split for" in await plane.say("analyze acme/widgets")
    assert (await plane.say("experience hands off")).startswith("✅ Experience: hands_off")
    assert "Create a split:" not in await plane.say("analyze acme/widgets")
    assert (await plane.say("make me a sandwich")).startswith("I didn't understand that. Try: ")
