"""GitHub's deliveries: authentic and new; what changed there is asked for anew."""

import asyncio
import hashlib
import hmac
import json

import pytest

from agent_runtime.webhooks import github as hook
from sandbox.rails import webhooks

pytestmark = pytest.mark.asyncio(loop_scope="module")
PATH = "/webhook/github"


async def send(rails, plane, kind="good", copies=1, **event):
    url = f"{plane.client.base_url}{PATH}"
    return await rails.world._senders()["github"].deliver(url, kind, copies, event)


async def post(plane, body, headers):
    return await plane.client.post(PATH, content=body, headers=headers)


def signed(rails, body, **more):
    secret = rails.world.credentials.github_webhook_secret.encode()
    mac = hmac.new(secret, body, hashlib.sha256).hexdigest()
    headers = {"x-github-event": "push", "x-github-delivery": hashlib.sha256(body).hexdigest()}
    return {**headers, "x-hub-signature-256": f"sha256={mac}", **more}


async def test_the_signature_is_that_of_githubs_own_example():
    expected = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    assert hook._sign(b"It's a Secret to Everybody", b"Hello, World!") == expected
    assert webhooks.github("s", 1, {}).headers["x-hub-signature-256"].startswith("sha256=")


async def test_a_push_makes_the_contributors_be_asked_for_anew_once(rails_shared, plane_shared):
    await plane_shared.say("analyze acme/widgets")
    calls = rails_shared.world.calls

    async def asked():
        await plane_shared.say("analyze acme/widgets")
        return calls["github.contributors"]

    before = await asked()
    sender = rails_shared.world._senders()["github"]
    url = f"{plane_shared.client.base_url}{PATH}"
    (taken,) = await sender.deliver(url, "good", event={"repo": "Acme/Widgets"})
    assert (taken["status"], json.loads(taken["body"])) == (200, {"ok": True, "duplicate": False})
    assert await asked() == before + 1
    (again,) = await sender.deliver(url, "replay")
    assert json.loads(again["body"]) == {"ok": True, "duplicate": True}
    assert await asked() == before + 1


async def test_of_many_copies_at_once_one_is_heeded(rails_shared, plane_shared):
    answers = await send(rails_shared, plane_shared, copies=12)
    seen = [json.loads(answer["body"])["duplicate"] for answer in answers]
    assert sorted(seen) == [False] + [True] * 11


async def test_a_new_guid_does_not_make_an_old_body_new(rails_shared, plane_shared):
    body = b'{"zen": "Anything added dilutes everything else."}'
    first = await post(plane_shared, body, signed(rails_shared, body))
    other = {"x-github-delivery": "another-guid"}
    second = await post(plane_shared, body, signed(rails_shared, body, **other))
    assert (first.json()["duplicate"], second.json()["duplicate"]) == (False, True)
    third = b'{"zen": "Under a GUID that was seen."}'
    again = await post(plane_shared, third, signed(rails_shared, third, **other))
    assert again.json()["duplicate"] is True, "nor does a new body an old GUID"


async def test_what_is_not_signed_is_refused(rails_shared, plane_shared):
    (wrong,) = await send(rails_shared, plane_shared, "wrong")
    assert wrong["status"] == 401
    good = signed(rails_shared, b"{}")
    bare = good["x-hub-signature-256"].removeprefix("sha256=")
    for headers in (
        {},
        {**good, "x-hub-signature-256": ""},
        {**good, "x-hub-signature-256": bare},
        {**good, "x-hub-signature-256": f"sha1={bare}"},
        {name: text for name, text in good.items() if name != "x-hub-signature-256"}
        | {"x-hub-signature": f"sha256={bare}"},
        signed(rails_shared, b"{ }"),
    ):
        answer = await post(plane_shared, b"{}", headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "invalid_signature")


async def test_a_signed_body_that_cannot_be_told_apart_is_a_400(rails_shared, plane_shared):
    for body, more in ((b"[]", {}), (b'{"a": 1}', {"x-github-delivery": ""}), (b'{"b": 1}', {"x-github-event": "no event"})):  # fmt: skip  # noqa: E501 - one case each
        answer = await post(plane_shared, body, signed(rails_shared, body, **more))
        assert answer.status_code == 400, answer.text


async def test_a_body_over_its_own_limit_is_a_413_and_a_push_of_100_kib_is_none(
    rails_shared, plane_shared
):
    (large,) = await send(rails_shared, plane_shared, payload={"commits": ["x" * 1000] * 100})
    assert large["status"] == 200
    body = b" " * (1024 * 1024 + 1)
    assert (await post(plane_shared, body, {})).status_code == 413


async def test_an_installation_that_changed_is_looked_up_again(rails_shared, plane_shared):
    await plane_shared.say("analyze demo/hooked")
    github = plane_shared.service.processor._crew.analyst._github
    number, _ = github._api._installations["demo/hooked"]
    await send(rails_shared, plane_shared, name="installation", payload={"installation": {"id": number}})  # fmt: skip  # noqa: E501 - one call
    assert "demo/hooked" not in github._api._installations
    assert number not in github._api._tokens


async def test_a_renamed_repository_is_forgotten_under_both_names(rails_shared, plane_shared):
    github = plane_shared.service.processor._crew.analyst._github
    await asyncio.gather(*(plane_shared.say(f"analyze demo/{name}") for name in ("old", "new")))
    payload = {"action": "renamed", "changes": {"repository": {"name": {"from": "old"}}}}
    await send(rails_shared, plane_shared, name="repository", repo="demo/new", payload=payload)
    assert not {"demo/old", "demo/new"} & github._lists.keys()


async def test_without_a_secret_nothing_is_taken(bare):
    assert (await post(bare, b"{}", {"x-hub-signature-256": "sha256="})).status_code == 503
