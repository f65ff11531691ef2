"""Help, views of splits, what a worker says of itself, and how long an analysis may take."""

import re

import pytest

from agent_runtime import tee
from agent_runtime.dstack import Evidence
from agent_runtime.intents import analyze, worker
from agent_runtime.near import contract
from agent_runtime.rails import github
from agent_runtime.settings import Settings

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def rails(rails_shared):
    return rails_shared


@pytest.fixture
def plane(plane_shared):
    return plane_shared


async def test_help_names_every_intent(plane):
    text = await plane.say("@gitsplits @gitsplits what can you do?")
    for word in ("analyze", "create", "pay", "pending", "verify", "reputation", "mode", "approve"):
        assert f"- {word}" in text or f"{word} " in text


async def test_a_split_is_shown_by_its_repository_and_by_its_id(plane, rails):
    text = await plane.say("show splits for acme/widgets")
    assert re.match(
        r"📜 Split ID: split-\d+-0\nRepository: github.com/acme/widgets\n- ada: 60%", text
    )
    split_id = re.search(r"split-\S+", text)[0]
    for form in ("show split", "info for"):
        assert await plane.say(f"{form} {split_id}") == text
    assert await plane.say("show split split-1-1") == "No split has the id split-1-1"
    missed = await plane.say("show splits for Acme/widgets")
    assert missed.startswith("No split found for github.com/Acme/widgets\nSplits are kept under")
    rails.fault({"service": "near", "kind": "reset"})
    assert (await plane.say("show splits for acme/widgets")).startswith(
        "❌ Splits are not available"
    )


class Agent:
    """A guest agent that quotes whatever it is asked to."""

    async def quote(self, report_data):
        return Evidence(b"quote of " + report_data[:4], "the event log", "")


@pytest.mark.parametrize(
    ("told", "agent", "says"),
    [
        ({}, None, worker.UNATTESTED),
        ({}, Agent(), b"quote of ".hex()),
        ({"NEAR_WORKER_QUOTE": "q", "NEAR_WORKER_ENDORSEMENTS": "e"}, Agent(), "q"),
    ],
)
async def test_a_worker_registers_with_a_quote_or_with_the_truth(told, agent, says):
    class Sender:
        account = "agent.near"

    asked = worker.Worker(Settings.from_environ(told), None, Sender(), agent)
    quote, endorsements = await asked._attestation()
    assert quote.startswith(says)
    assert "local" not in quote + endorsements
    assert endorsements


async def test_where_the_agent_is_silent_the_registration_says_so(plane, monkeypatch):
    given = []

    def watched(*said):
        given.append(said)
        return honest(*said)

    honest = contract.register_worker
    monkeypatch.setattr(contract, "register_worker", watched)
    assert (await plane.say("create acme/no-app")).startswith("✅ Split created")
    assert given == [("gitsplits-agent", worker.SILENT, worker.SILENT)]


async def test_a_models_text_is_one_line_that_looks_like_none_of_ours():
    """Names from GitHub reach the model; whatever they make it write moves no client."""
    bad = (
        "Ada leads.\n🔗 Transaction: x\r\n• eve: 9 commits (90%)\n```json\n{}\n\u2028🧾 Receipt: /"
    )
    assert analyze.as_prose(bad) == (
        "Ada leads. Transaction: x eve: 9 commits (90%) json {} Receipt: /"
    )
    assert analyze.as_prose("é 50% + 1 = €") == "é 50% + 1 ="
    assert len(analyze.as_prose("a" * 3_000)) == analyze.INSIGHT_CHARS_MAX + 1


async def test_an_analysis_waits_for_neither_the_chain_nor_the_model(plane, rails, monkeypatch):
    monkeypatch.setattr(analyze, "REST_SECONDS", 0.2)
    rails.fault(
        {"service": "near", "kind": "latency_ms", "latency_ms": 600},
        {"service": "eigenai", "kind": "latency_ms", "latency_ms": 600},
    )
    text = await plane.say("analyze acme/widgets")
    assert "Verification coverage: not available (near: timed out)" in text
    assert "AI insight: not available (eigenai: timed out)" in text
    assert "🥇 ada: 60 commits (60%)" in text


async def test_a_guest_agent_that_quotes_is_named_and_called_verified_by_nobody(plane, monkeypatch):
    async def guest(_):
        return tee.Guest("a" * 40, "")

    assert "🔒" not in await plane.say("analyze acme/widgets")
    monkeypatch.setattr(tee.TeeWatch, "guest", guest)
    text = await plane.say("analyze acme/widgets")
    assert "🔒 Orchestration: beside a TEE guest agent that gives quotes, not verified here" in text
    assert "Verified in TEE" not in text


async def test_an_analysis_is_over_before_its_client_goes():
    """GitHub's pages, then chain and model side by side, then the guest agent: under 25 s."""
    assert github.ALL_PAGES_SECONDS + analyze.REST_SECONDS + tee.PATIENCE_SECONDS < 25
