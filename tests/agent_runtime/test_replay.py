"""What was asked can be asked again by who asked it; a payment is shown and never made again."""

import json
import os
from pathlib import Path

import pytest

from agent_runtime.events import EventLog
from agent_runtime.modes import Caller
from agent_runtime.ndjson import LineLog

PAY = "pay 10 USDC to acme/widgets"

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def rails(rails_shared):
    return rails_shared


@pytest.fixture
def plane(plane_shared):
    return plane_shared


async def event_of(plane, text, **more):
    return (await plane.process(text, **more)).json()["eventId"]


async def test_a_payment_is_replayed_as_its_stored_state_alone(rails, run_plane):
    async with run_plane(rails.environ) as plane:
        event = await event_of(plane, PAY, key="k1")
        paid = await plane.say(PAY, key="k1")
    before = len(rails.transactions())
    rails.fault({"service": "near", "kind": "status", "status": 503})
    async with run_plane(rails.environ) as plane:
        text = await plane.say(f"replay {event}")
        assert text.startswith(f"🔁 Replay of {event}: {PAY}\nNothing was paid again. ")
        assert text.endswith(paid)
        other = await plane.say(f"replay {event}", author="mallory")
        assert other.startswith(f"No event {event} of yours")
    assert len(rails.transactions()) == before


async def test_a_refused_payment_and_an_approval_are_not_carried_out_by_a_replay(plane, rails):
    before = len(rails.transactions(rails.world.describe()["near"]["usdc"]))
    refused = await event_of(plane, "pay 1 USDC to acme/no-app")
    await plane.say("create acme/no-app")
    assert (await plane.say(f"replay {refused}")).endswith("It made no payment.")
    await plane.say("mode draft")
    await plane.say(PAY)
    approval = await event_of(plane, "approve plan-0000000000")
    assert (await plane.say(f"replay {approval}")).endswith("It made no payment.")
    usdc = rails.world.describe()["near"]["usdc"]
    assert len(rails.transactions(usdc)) == before


async def test_what_only_reads_is_asked_again_and_orders_are_not(plane):
    event = await event_of(plane, "show splits for acme/widgets")
    text = await plane.say(f"replay {event}")
    assert text.startswith(
        f"🔁 Replay of {event}: show splits for acme/widgets\n📜 Split ID: split-"
    )
    for order in ("mode draft", f"replay {event}", "make me\n🔗 Transaction: a sandwich"):
        event = await event_of(plane, order)
        text = await plane.say(f"replay {event}")
        assert text == "That is not replayed; say it again if you mean it", "nor is it repeated"
    event = await event_of(plane, "pending\n@ada")
    assert (await plane.say(f"replay {event}")).startswith(f"🔁 Replay of {event}: pending @ada\n")


async def test_the_log_says_what_happened_in_the_words_of_the_contract(plane, rails_of_module):
    await plane.say("mode draft")
    await plane.say(PAY)
    await plane.say("cancel")
    await plane.say(PAY)
    await plane.say("approve")
    await plane.say("pay 251 USDC to acme/widgets")
    await plane.say("experience guided")
    await plane.say("mode execute")
    await plane.say("make me a sandwich")
    await plane.say("replay " + (await plane.process("help")).json()["eventId"])
    log = Path(rails_of_module.environ["AGENT_LOG_DIR"]) / "agent-events.ndjson"
    lines = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
    found = [line for line in lines if line["author"] == plane.author]
    assert {"timestamp", "eventId", "type"} <= set(found[0])
    assert {line["type"] for line in found} == {
        "message_received",
        "intent_executed",
        "mode_changed",
        "plan_created",
        "plan_cancelled",
        "plan_executed",
        "policy_block",
        "experience_mode_changed",
        "intent_low_confidence",
        "replay_started",
    }


async def test_each_round_of_the_canary_is_in_the_log_too(plane, rails_of_module):
    result = (await plane.canary()).json()
    log = Path(rails_of_module.environ["AGENT_LOG_DIR"]) / "agent-events.ndjson"
    line = json.loads(log.read_text("utf-8").splitlines()[-1])
    assert (line["type"], line["ok"]) == ("canary_run", True)
    assert line["checks"] == {name: one["ok"] for name, one in result["checks"].items()}


async def test_commands_are_found_again_after_a_restart_and_half_a_line_hides_none(tmp_path):
    log = EventLog(str(tmp_path))
    kept = log.record("message_received", channel="web", author="a", text="analyze o/r")
    log.record("intent_executed", of=kept, intent="pay", paymentId="pay-1")
    with log.file.open("a") as file:
        file.write('{"type": "message_rec')
    found = EventLog(str(tmp_path)).command(kept)
    assert (found.caller, found.text, found.payment_id) == (
        Caller("web", "a"),
        "analyze o/r",
        "pay-1",
    )


async def test_a_log_that_cannot_be_written_costs_no_answer(tmp_path):
    (tmp_path / "in-the-way").write_text("")
    log = EventLog(str(tmp_path / "in-the-way"))
    event = log.record("message_received", channel="web", author="a", text="help")
    assert log.command(event).text == "help"


async def test_a_line_that_the_disk_took_only_half_spoils_no_other(tmp_path, monkeypatch):
    log = LineLog(tmp_path / "log")
    real = os.write
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", lambda file, data: real(file, data[:9]))
        with pytest.raises(OSError, match="only 9 of 12 bytes were written"):
            log.append({"n": "one"})
    log.append({"n": "two"})
    assert log.newest() == [{"n": "two"}]


async def test_a_full_log_makes_room_and_old_commands_are_forgotten(tmp_path, monkeypatch):
    monkeypatch.setattr("agent_runtime.ndjson.FILE_BYTES_MAX", 1_000)
    monkeypatch.setattr("agent_runtime.events.KEPT_MAX", 5)
    log = EventLog(str(tmp_path))
    ids = [
        log.record("message_received", channel="web", author="a", text=f"pending u{n}")
        for n in range(20)
    ]
    again = EventLog(str(tmp_path))
    assert [log.command(i) is not None for i in ids] == [False] * 15 + [True] * 5
    assert again.command(ids[-1]).text == "pending u19"
    assert log.file.stat().st_size < 2_000
