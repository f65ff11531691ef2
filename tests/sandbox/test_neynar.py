"""Neynar's stand-in: publishes once for one key, and delivers casts as Neynar signs them."""

import hashlib
import hmac
import json

from sandbox.credentials import BOT_FID
from sandbox.web import Server, json_answer, read_request, send_answer

PARENT = "0x" + "ab" * 20


async def cast(client, *, key=None, **changed):
    body = {
        "signer_uuid": client.credentials.neynar_signer,
        "text": "hello",
        "parent": PARENT,
        "idem": "0123456789abcdef",
    } | changed
    headers = {"x-api-key": client.credentials.neynar_key if key is None else key}
    return await client.http.post(
        client.urls["neynar"] + "/v2/farcaster/cast", json=body, headers=headers
    )


async def test_the_same_idem_publishes_one_cast(client):
    first, again = await cast(client), await cast(client, text="something else")
    assert first.status_code == again.status_code == 200
    assert first.json() == again.json()
    assert first.json()["cast"]["author"]["fid"] == BOT_FID
    told = (await client.control("GET", "/neynar/casts")).json()["casts"]
    assert [(one["text"], one["parent"]) for one in told] == [("hello", PARENT)]
    assert (await cast(client, idem="another")).json() != first.json()


async def test_it_refuses_what_neynar_would_refuse(client):
    assert (await cast(client, key="wrong")).status_code == 401
    assert (await cast(client, signer_uuid="other")).status_code == 404
    for changed in ({"text": ""}, {"text": "x" * 1025}, {"parent": "0x1"}):
        assert (await cast(client, **changed)).status_code == 400
    assert client.world.neynar.casts == []


async def test_it_misbehaves_as_told(client):
    for variant, status in (("unauthorized", 401), ("html", 502), ("no_hash", 200)):
        rule = {"service": "neynar", "kind": "wrong", "variant": variant}
        await client.control("PUT", "/faults", [rule])
        answer = await cast(client)
        assert answer.status_code == status
        assert "hash" not in answer.text


async def test_a_delivered_cast_is_signed_over_its_raw_body(client):
    seen = []

    async def receiver(scope, receive, send):
        request = await read_request(scope, receive)
        seen.append(request)
        await send_answer(send, json_answer({}))

    server = Server(receiver)
    await server.start()
    order = {"url": server.url, "event": {"text": "hi", "fid": 7, "bot": BOT_FID}}
    for who in ("neynar", "github"):
        assert (await client.control("POST", f"/{who}/deliver", order)).json()["status"] == 200
    await server.stop()
    secret = client.credentials.farcaster_webhook_secret.encode()
    expected = hmac.new(secret, seen[0].body, hashlib.sha512).hexdigest()
    assert seen[0].headers["x-neynar-signature"] == expected
    data = json.loads(seen[0].body)["data"]
    assert (data["text"], data["author"]["fid"]) == ("hi", 7)
    secret = client.credentials.github_webhook_secret.encode()
    expected = "sha256=" + hmac.new(secret, seen[1].body, hashlib.sha256).hexdigest()
    assert seen[1].headers["x-hub-signature-256"] == expected
    refused = await client.control("POST", "/nobody/deliver", order)
    assert refused.status_code == 404
