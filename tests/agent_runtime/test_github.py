"""What GitHub is asked for, how often, and what happens when it changes its mind."""

import asyncio
import time
from dataclasses import replace

import pytest

from agent_runtime import wire
from agent_runtime.errors import RailError, RailUnknown, SettingsError
from agent_runtime.grammar import Repo
from agent_runtime.rails import github
from agent_runtime.rails.github_api import Credential, GitHubApi, _Token
from agent_runtime.settings import Settings
from agent_runtime.wiring import build

ANALYZE = "analyze acme/widgets"


async def test_many_at_once_ask_github_for_everything_once(plane, rails):
    texts = await asyncio.gather(*(plane.say(ANALYZE) for _ in range(8)))
    assert all("🥇 ada: 60 commits" in text for text in texts)
    calls = rails.world.calls
    for operation in ("installation", "access_tokens", "repo", "contributors"):
        assert calls[f"github.{operation}"] == 1, operation
    assert calls["eigenai.message"] == 1


async def test_a_young_list_is_not_asked_for_again_and_one_that_is_cut_says_so(
    plane, rails, monkeypatch
):
    assert github.FRESH_SECONDS == 30, "as the README promises"
    assert await plane.say(ANALYZE) == await plane.say(ANALYZE)
    assert rails.world.calls["github.repo"] == rails.world.calls["github.contributors"] == 1
    monkeypatch.setattr(github, "PAGES_MAX", 1)
    assert "\nThe list is cut: " in await plane.say("analyze near/near-sdk-rs")


async def test_repositories_of_one_installation_share_its_token(plane, rails):
    for name in ("one", "two", "three"):
        await plane.say(f"analyze demo/{name}")
    assert rails.world.calls["github.installation"] == 3
    assert rails.world.calls["github.access_tokens"] == 1


async def test_an_old_list_is_asked_for_by_its_etag_and_used_if_it_is_the_same(
    plane, rails, monkeypatch
):
    monkeypatch.setattr(github, "FRESH_SECONDS", 0.0)
    first = await plane.say(ANALYZE)
    answers = []
    api = plane.service.processor._crew.analyst._github._api
    real = api.get

    async def watched(*given):
        answers.append(await real(*given))
        return answers[-1]

    monkeypatch.setattr(api, "get", watched)
    assert await plane.say(ANALYZE) == first
    assert [answer.status for answer in answers] == [304, 304]


@pytest.mark.parametrize("kind", ["not_found", "bad_credentials"])
async def test_a_list_that_cannot_be_refreshed_is_an_error(plane, rails, monkeypatch, kind):
    monkeypatch.setattr(github, "FRESH_SECONDS", 0.0)
    await plane.say(ANALYZE)
    rails.fault({"service": "github", "kind": "wrong", "variant": kind})
    assert (await plane.say(ANALYZE)).startswith("❌ Analysis failed for")
    rails.heal()
    assert "🥇 ada: 60 commits" in await plane.say(ANALYZE)


async def test_a_token_that_github_no_longer_takes_is_replaced_once(plane, rails, monkeypatch):
    await plane.say("analyze demo/one")
    issued = rails.world.calls["github.access_tokens"]
    rails.fault(
        {
            "service": "github",
            "operation": "repo",
            "kind": "wrong",
            "variant": "bad_credentials",
            "count": 1,
        }
    )
    assert (await plane.say("analyze demo/two")).startswith("📊 Analysis for")
    assert rails.world.calls["github.access_tokens"] == issued + 1


async def test_the_canary_asks_github_anew(plane, rails):
    await plane.say("analyze near/near-sdk-rs")
    before = rails.world.calls["github.repo"]
    await plane.canary()
    assert rails.world.calls["github.repo"] == before + 1


def test_a_key_of_the_app_that_cannot_be_read_stops_the_start(tmp_path):
    broken = "-----BEGIN PRIVATE KEY-----\\nAAAA\\n-----END PRIVATE KEY-----"
    told = {
        "GITHUB_APP_ID": "1",
        "GITHUB_PRIVATE_KEY": broken,
        "PAYMENTS_DB": str(tmp_path / "payments.db"),
    }
    with pytest.raises(SettingsError, match=r"GITHUB_PRIVATE_KEY: not an RSA private key"):
        build(Settings.from_environ(told))


@pytest.mark.parametrize("name", ["o/r?x", "o/r/../..", "o", "o/r\n", "o/", ""])
async def test_a_repositorys_name_that_is_none_goes_into_no_address(name):
    with pytest.raises(RailUnknown, match="full_name"):
        github._record({"full_name": name})
    assert github._record({"full_name": "o/r.js"})


@pytest.mark.parametrize("login", ["", "a\n🔗 Transaction: x", "a: 9 commits", "a b", "é"])
async def test_a_contributors_login_that_is_none_is_nobodys(login):
    item = {"type": "User", "id": 1, "login": login, "contributions": 1}
    with pytest.raises(RailUnknown, match="login is none"):
        github.sort_out(Repo("o", "r"), [item], capped=False)


GITHUB = "https://api.github.com"
AWAY = [
    "https://evil.example/repos/o/r",
    "https://api.github.com.evil.example/repos/o/r",
    "https://api.github.com@evil.example/",
    "http://api.github.com/repos/o/r",
    "//evil.example/",
    "",
]


@pytest.mark.parametrize("location", [*AWAY, f"{GITHUB}/repositories/1"])
async def test_a_token_goes_along_with_a_renaming_inside_githubs_api_and_nowhere_else(
    monkeypatch, location
):
    asked = []

    async def ask(client, service, method, url, **more):
        asked.append((url, more["headers"]["authorization"]))
        first = len(asked) == 1
        headers = {"location": location} if first else {}
        return wire.Answer("github", 301 if first else 200, headers, b"{}")

    monkeypatch.setattr(wire, "ask", ask)
    api = GitHubApi(None, Settings.from_environ({"GITHUB_TOKEN": "secret"}))
    if location in AWAY:
        with pytest.raises(RailError, match="a redirect that leaves the API"):
            await api.get(Repo("o", "r"), "/repos/o/r")
        assert len(asked) == 1
    else:
        assert (await api.get(Repo("o", "r"), "/repos/o/r")).status == 200
        assert asked[1] == (location, "token secret")


@pytest.mark.parametrize("status", [200, 401, 403, 404, 410, 500])
async def test_the_personal_token_serves_only_where_the_app_is_not_installed(monkeypatch, status):
    """An App whose credentials fail is an error (contract §11.26)."""
    asked = []

    async def ask(client, service, method, url, **more):
        asked.append(more["headers"]["authorization"])
        if url.endswith("/access_tokens"):
            made = b'{"token": "ghs", "expires_at": "2999-01-01T00:00:00Z"}'
            return wire.Answer("github", 201, {}, made)
        found = status if url.endswith("/installation") else 200
        return wire.Answer("github", found, {}, b'{"id": 7}')

    monkeypatch.setattr(wire, "ask", ask)
    told = Settings.from_environ({"GITHUB_TOKEN": "secret"})
    api = GitHubApi(None, told)
    api._settings = replace(told, github_app_id="1")
    monkeypatch.setattr(api, "_app", lambda: Credential("app", header="Bearer jwt"))
    if status in {200, 404}:
        assert (await api.get(Repo("o", "r"), "/repos/o/r")).status == 200
        assert asked[-1] == ("token ghs" if status == 200 else "token secret")
    else:
        with pytest.raises(RailError):
            await api.get(Repo("o", "r"), "/repos/o/r")
        assert asked == ["Bearer jwt"]


async def test_a_token_with_less_than_five_minutes_left_is_made_anew(monkeypatch):
    api = GitHubApi(None, Settings.from_environ({}))

    async def make(number):
        return _Token("new", 0.0)

    monkeypatch.setattr(api, "_make_token", make)
    for left, served in ((310, "old"), (290, "new")):
        api._tokens[7] = _Token("old", time.time() + left)
        assert await api._token_of(7) == served


async def test_an_account_is_a_number_and_counts_once():
    item = {"type": "User", "id": 1, "login": "ada", "contributions": 2}
    found = github.sort_out(Repo("o", "r"), [item, {**item, "contributions": 1}], capped=False)
    assert [person.commits for person in found.people] == [2]
    for number in (0, -1):
        with pytest.raises(RailUnknown, match="id is no number"):
            github._account({"id": number, "login": "ada", "type": "User"})
