"""How logins are rated, and whom a rating keeps from being paid."""

import asyncio
import contextlib
import json

import pytest

from agent_runtime import wire
from agent_runtime.errors import RailUnknown
from agent_runtime.rails.reputation import Kind, Rating, Reputations
from agent_runtime.settings import Settings

pytestmark = pytest.mark.asyncio(loop_scope="module")

PAY = "pay 10 USDC to acme/widgets"


@pytest.fixture
def rails(rails_shared):
    return rails_shared


@pytest.fixture
def plane(plane_shared):
    return plane_shared


@contextlib.asynccontextmanager
async def api(answers):
    """An HTTP server with one answer for each path and subject; asked for others it says 404."""

    async def serve(reader, writer):
        path = (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1].decode()
        status, body = answers.get(path, (404, {}))
        text = json.dumps(body).encode()
        head = f"HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {len(text)}\r\n\r\n"
        writer.write(head.encode() + text)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_without_apis_the_kind_of_account_rates(plane):
    text = await plane.say("reputation for @ada")
    assert text.split("\n") == [
        "🏅 Reputation for @ada",
        "Kind: human",
        "Score: 70/100 (silver)",
        "ERC-8004: not configured",
        "Payable by score: yes (least score 50; a verified wallet is needed too)",
        "Sources: github, kind of account",
    ]
    unknown = await plane.say("is nobody-here eligible?")
    assert "Kind: unknown\nScore: 50/100 (bronze)\n" in unknown
    assert "Payable by score: no" in unknown


async def test_apis_rate_and_the_registry_knows_agents_only():
    found = {
        "/profile?subject=ada": (200, {"score": 91}),
        "/profile?subject=my-agent": (200, {"score": 70}),
        "/lookup?subject=my-agent": (200, {"registered": True}),
        "/lookup?subject=ada": (500, {}),
    }
    async with api(found) as url:
        told = {"REPUTATION_API_BASE": url, "ERC8004_REGISTRY_API": url}
        client = wire.new_client()
        reputations = Reputations(client, Settings.from_environ(told))
        human = await reputations.rate("ada", Kind.HUMAN)
        agent = await reputations.rate("my-agent", Kind.AGENT)
        await client.aclose()
    assert (human.score, human.tier, human.registry) == (91, "gold", "not registered")
    assert (agent.score, agent.tier, agent.registry) == (85, "gold", "registered")
    assert agent.sources == ("reputation api", "erc8004")


@pytest.mark.parametrize(
    ("score", "tier"),
    [(100, "gold"), (80, "gold"), (79, "silver"), (55, "silver"), (54, "bronze"), (0, "bronze")],
)
async def test_a_score_has_its_tier(score, tier):
    assert Rating(Kind.HUMAN, score, "", ()).tier == tier


async def test_a_program_has_sixty_and_nobody_more_than_a_hundred():
    """With the registry's bonus, too (contract §7)."""
    found = {
        "/lookup?subject=my-agent": (200, {"registered": False}),
        "/profile?subject=known": (200, {"score": 90}),
        "/lookup?subject=known": (200, {"registered": True}),
    }
    async with api(found) as url:
        client = wire.new_client()
        registry = Settings.from_environ({"ERC8004_REGISTRY_API": url})
        both = Settings.from_environ({"ERC8004_REGISTRY_API": url, "REPUTATION_API_BASE": url})
        plain = await Reputations(client, registry).rate("my-agent", Kind.AGENT)
        known = await Reputations(client, both).rate("known", Kind.AGENT)
        await client.aclose()
    assert (plain.score, plain.registry, known.score) == (60, "not registered", 100)


@pytest.mark.parametrize(
    "answer", [(500, {"score": 9}), (200, {}), (200, {"score": "9"}), (200, {"score": 101})]
)
async def test_an_unusable_answer_is_no_rating(answer):
    async with api({"/profile?subject=ada": answer}) as url:
        client = wire.new_client()
        settings = Settings.from_environ({"REPUTATION_API_BASE": url})
        with pytest.raises(RailUnknown):
            await Reputations(client, settings).rate("ada", Kind.HUMAN)
        await client.aclose()


async def test_the_badly_rated_are_left_out_and_named_and_the_unrated_stop_the_payment(
    rails, run_plane
):
    scores = {"ada": 80, "grace": 20, "linus": 50, "margaret": 49}
    found = {f"/profile?subject={name}": (200, {"score": score}) for name, score in scores.items()}
    async with (
        api(found) as url,
        run_plane({**rails.environ, "REPUTATION_API_BASE": url}) as plane,
    ):
        text = await plane.say(PAY, key="k1")
        assert text.startswith("✅ Distributed 7 USDC to 2 payout-eligible verified"), text
        assert "🚫 Excluded by eligibility policy (2):\n- grace: score 20 is below 50" in text
        assert [rails.usdc(f"{name}.people.near") for name in scores] == [
            6_000_000,
            0,
            1_000_000,
            0,
        ]
        del found["/profile?subject=linus"]
        text = await plane.say(PAY, key="k2")
    assert text == "❌ Payment failed: reputation: HTTP 404; nothing was sent"
