"""GitHub, Ping, HOT and EigenAI answer in their own shapes, and refuse what they must refuse."""

import base64
import hashlib
import hmac
import time

import jwt
import pytest

from sandbox.credentials import APP_ID, Credentials
from sandbox.ethereum import Account, encode_defunct
from sandbox.faults import Faults
from sandbox.near import genesis
from sandbox.near.payer import ft_transfer
from sandbox.rails import eigenai
from sandbox.rails.github import GitHub
from sandbox.rails.webhooks import sign
from sandbox.standin import StandIn
from sandbox.web import Answer, Server, json_answer, read_request, send_answer

ADA = "ada.people.near"


def app_jwt(client, *, issuer=APP_ID, lifetime=540, pem=None):
    now = int(time.time())
    claims = {"iat": now - 60, "exp": now + lifetime, "iss": issuer}
    return jwt.encode(claims, pem or client.credentials.app_pem, algorithm="RS256")


async def github(client, path, credential, *, method="GET", **headers):
    headers = {"authorization": f"Bearer {credential}", **headers}
    return await client.http.request(method, client.urls["github"] + path, headers=headers)


async def test_an_app_gets_an_installation_token_that_reads_repositories(client):
    token = app_jwt(client)
    installation = (await github(client, "/repos/acme/widgets/installation", token)).json()
    path = f"/app/installations/{installation['id']}/access_tokens"
    issued = await github(client, path, token, method="POST")
    assert issued.status_code == 201
    repo = await github(client, "/repos/ACME/Widgets", issued.json()["token"])
    assert repo.json()["full_name"] == "acme/widgets"
    assert int(repo.headers["x-ratelimit-remaining"]) > 0


async def test_a_jwt_by_another_key_for_another_app_or_too_long_is_refused(client):
    other = Credentials.generate().app_pem
    for token, status in (
        (app_jwt(client, pem=other), 401),
        (app_jwt(client, issuer="7"), 404),
        (app_jwt(client, lifetime=1200), 401),
        (app_jwt(client, lifetime=-120), 401),
        (client.credentials.github_token, 401),
    ):
        answer = await github(client, "/repos/acme/widgets/installation", token)
        assert answer.status_code == status
        assert answer.json()["message"]


async def test_an_app_is_not_installed_everywhere(client):
    answer = await github(client, "/repos/acme/no-app/installation", app_jwt(client))
    assert (answer.status_code, answer.json()["message"]) == (404, "Not Found")


async def test_contributors_come_in_pages_with_bots_and_on_request_anonymous_ones(client):
    token = client.credentials.github_token
    path, rows, pages = "/repos/near/near-sdk-rs/contributors?per_page=100&anon=1", [], 0
    while path:
        answer = await github(client, path, token)
        rows += answer.json()
        pages += 1
        following = answer.links.get("next", {}).get("url", "")
        path = following.removeprefix(client.urls["github"])
    assert pages == 2
    assert {row["type"] for row in rows} == {"User", "Bot", "Anonymous"}
    anonymous = [row for row in rows if row["type"] == "Anonymous"]
    assert all("login" not in row and "id" not in row for row in anonymous)
    plain = (
        await github(client, "/repos/near/near-sdk-rs/contributors?per_page=100", token)
    ).json()
    assert all(row["type"] != "Anonymous" for row in plain)


async def test_an_etag_saves_the_call(client):
    token = client.credentials.github_token
    first = await github(client, "/repos/demo/x/contributors", token)
    headers = {"if-none-match": first.headers["etag"]}
    second = await github(client, "/repos/demo/x/contributors", token, **headers)
    assert second.status_code == 304
    assert second.headers["x-ratelimit-used"] == first.headers["x-ratelimit-used"]


async def test_troublesome_repositories_are_troublesome(client):
    token = client.credentials.github_token
    expected = {
        "/repos/acme/empty/contributors": 204,
        "/repos/acme/huge/contributors": 403,
        "/repos/acme/old-widgets": 301,
        "/repos/acme/nothing": 404,
    }
    for path, status in expected.items():
        assert (await github(client, path, token)).status_code == status
    assert (await github(client, "/repos/acme/widgets", "ghp_wrong")).status_code == 401


async def test_a_spent_budget_is_403_with_the_rate_headers(client):
    service = GitHub(APP_ID, client.credentials.app_public_pem, "t" * 40, calls_per_hour=2)
    server = Server(StandIn(service, Faults({})))
    await server.start()
    try:
        headers = {"authorization": "token " + "t" * 40}
        url = server.url + "/repos/acme/widgets"
        answers = [await client.http.get(url, headers=headers) for _ in range(3)]
    finally:
        await server.stop()
    assert [a.status_code for a in answers] == [200, 200, 403]
    assert answers[2].headers["x-ratelimit-remaining"] == "0"


async def ping(client, method, path, body=None, **headers):
    headers = {"x-publishable-key": client.credentials.ping_key, **headers}
    return await client.http.request(
        method, client.urls["ping"] + "/api" + path, json=body, headers=headers
    )


async def test_ping_wants_its_key_in_any_of_its_headers(client):
    url = client.urls["ping"] + "/api/v1/intents/probe"
    key = client.credentials.ping_key
    for headers, status in (
        ({"x-publishable-key": key}, 200),
        ({"x-api-key": key}, 200),
        ({"authorization": f"Bearer {key}"}, 200),
        ({"x-api-key": "pk_test_guess"}, 401),
        ({}, 401),
    ):
        assert (await client.http.get(url, headers=headers)).status_code == status


async def test_a_prepared_payment_moves_only_what_was_prepared_and_once(client):
    asset = {"assetId": f"nep141:{genesis.USDC}", "amount": "5"}
    body = {"recipient": {"address": ADA}, "asset": asset, "idempotencyKey": "leg-1"}
    first = (await ping(client, "POST", "/payments/prepare", body)).json()["payment"]
    again = (await ping(client, "POST", "/payments/prepare", body)).json()["payment"]
    assert first["paymentId"] == again["paymentId"]
    changed = {**body, "asset": {**asset, "amount": "6"}}
    assert (await ping(client, "POST", "/payments/prepare", changed)).status_code == 400
    payer = client.payer()

    async def submit(amount):
        raw = base64.b64encode(payer.sign(genesis.USDC, [ft_transfer(ADA, amount)])).decode()
        told = {"paymentId": first["paymentId"], "idempotencyKey": "leg-1", "signedPayload": raw}
        return await ping(client, "POST", "/payments/submit", told)

    assert (await submit(50)).status_code == 400
    assert (await submit(5)).status_code == 200
    tx_hash = (await submit(5)).json()["payment"]["settlement"]["txRefs"][0]["txHash"]
    await client.world.chain.wait_for(tx_hash, "FINAL", 2)
    shown = (await ping(client, "GET", f"/payments/{first['paymentId']}")).json()["payment"]
    assert shown["status"] == "SUCCESS"
    assert await client.usdc_of(ADA) == 5


async def test_an_intent_pays_from_pings_treasury_once_per_idempotency_key(client):
    recipients = [{"address": ADA, "amount": "5"}, {"address": "ken.people.near", "amount": "2"}]
    body = {"action": "distribute", "token": "USDC", "total_amount": "7", "recipients": recipients}
    key = {"idempotency-key": "p1"}
    first = (await ping(client, "POST", "/v1/intents", body, **key)).json()
    second = (await ping(client, "POST", "/v1/intents", body, **key)).json()
    assert first["intent_id"] == second["intent_id"]
    await client.world.chain.wait_for(first["transaction_hash"], "FINAL", 2)
    shown = (await ping(client, "GET", f"/v1/intents/{first['intent_id']}")).json()
    assert shown["status"] == "SUCCESS"
    assert await client.usdc_of(ADA) == 5
    short = {**body, "total_amount": "8"}
    assert (await ping(client, "POST", "/v1/intents", short)).status_code == 400


async def test_a_checkout_session_can_be_read_back_and_collects_nothing(client):
    body = {"amount": "100", "asset": {"chain": "NEAR", "symbol": "USDC"}}
    made = (await ping(client, "POST", "/checkout/sessions", body)).json()
    session_id = made["session"]["sessionId"]
    read = (await ping(client, "GET", f"/checkout/sessions/{session_id}")).json()
    assert read["session"]["status"] == "CREATED"


class Receiver:
    """Checks a Ping webhook as a receiver should."""

    def __init__(self, secret):
        self.secret, self.seen = secret, set()

    async def __call__(self, scope, receive, send):
        await send_answer(send, self.answer(await read_request(scope, receive)))

    def answer(self, request) -> Answer:
        timestamp, event = request.headers["x-ping-timestamp"], request.headers["x-ping-event-id"]
        if sign(self.secret, int(timestamp), request.body) != request.headers["x-ping-signature"]:
            return json_answer({"error": "Invalid signature"}, 401)
        if abs(time.time() - int(timestamp)) > 300 or event in self.seen:
            return json_answer({"error": "stale or replayed"}, 401)
        self.seen.add(event)
        return json_answer({"ok": True})


async def test_webhooks_are_good_wrong_stale_or_replayed_as_asked(client):
    server = Server(Receiver(client.credentials.ping_webhook_secret))
    await server.start()
    try:
        seen = {}
        for kind in ("good", "wrong", "stale", "replay"):
            body = {"url": server.url + "/webhook/pingpay", "kind": kind}
            seen[kind] = (await client.control("POST", "/ping/deliver", body)).json()
    finally:
        await server.stop()
    statuses = {kind: told["status"] for kind, told in seen.items()}
    assert statuses == {"good": 200, "wrong": 401, "stale": 401, "replay": 401}
    assert seen["replay"]["event_id"] == seen["good"]["event_id"]
    body = {"url": server.url, "kind": "good"}
    gone = (await client.control("POST", "/ping/deliver", body)).json()
    assert gone["status"] is None
    assert (await client.control("POST", "/ping/deliver", {"kind": "x"})).status_code == 422


def test_the_webhook_signature_is_hmac_over_timestamp_dot_body():
    """Ping's rule, spelled a second time (rails §4)."""
    expected = hmac.new(b"key", b"1.{}", hashlib.sha256).hexdigest()
    assert sign("key", 1, b"{}") == expected


async def chat(client, **changes):
    wallet = client.credentials.wallet
    url = client.urls["eigenai"]
    asked = await client.http.get(url + "/message", params={"address": wallet.address})
    message = asked.json()["message"]
    signature = wallet.sign_message(encode_defunct(text=message)).signature.hex()
    body = {
        "model": "gpt-oss-120b-f16",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
        "seed": 42,
        "grantMessage": message,
        "grantSignature": "0x" + signature.removeprefix("0x"),
        "walletAddress": wallet.address,
        **changes,
    }
    return await client.http.post(url + "/api/chat/completions", json=body)


async def test_the_operators_address_is_recovered_from_an_answer_and_from_no_other_text(client):
    answer = (await chat(client)).json()
    output = answer["choices"][0]["message"]["content"]
    text = "1" + answer["model"] + "Be brief.Hi" + output
    operator = client.credentials.operator.address
    assert len(answer["signature"]) == 130
    assert eigenai.recover(text, answer["signature"]) == operator
    assert eigenai.recover(text + "x", answer["signature"]) != operator
    assert (await chat(client)).json()["signature"] == answer["signature"]


async def test_a_bad_signature_fault_gives_an_answer_nobody_allowed_signed(client):
    await client.fault(service="eigenai", kind="wrong", variant="bad_signature")
    answer = (await chat(client)).json()
    text = "1" + answer["model"] + "Be brief.Hi" + answer["choices"][0]["message"]["content"]
    assert eigenai.recover(text, answer["signature"]) != client.credentials.operator.address


async def test_a_grant_belongs_to_the_wallet_that_signs_for_it(client):
    assert (await chat(client, grantMessage="other")).status_code == 401
    assert (await chat(client, grantSignature="0x00")).status_code == 401
    stranger = Account.create()
    assert (await chat(client, walletAddress=stranger.address)).status_code == 403
    assert (await chat(client, model="gpt-2")).status_code == 400
    url = client.urls["eigenai"] + "/checkGrant"
    mine = await client.http.get(url, params={"address": client.credentials.wallet.address})
    assert mine.json()["hasGrant"] is True
    assert mine.json()["tokenCount"] > 0
    other = await client.http.get(url, params={"address": stranger.address})
    assert (other.json()["success"], other.json()["hasGrant"]) == (True, False)
    assert (await client.http.get(url, params={"address": "0x12"})).status_code == 400


@pytest.mark.parametrize(
    ("rule", "service", "path", "seen"),
    [
        ({"service": "ping", "operation": "probe"}, "ping", "/api/v1/intents/probe", 404),
        ({"service": "hot"}, "hot", "/partners/processed_payments", 502),
    ],
)
async def test_probes_can_be_told_to_fail_as_the_real_ones_did(client, rule, service, path, seen):
    await client.fault(kind="wrong", **rule)
    key = {"x-api-key": client.credentials.ping_key}
    assert (await client.http.get(client.urls[service] + path, headers=key)).status_code == seen


async def test_eigenai_can_say_success_false_with_200(client):
    await client.fault(service="eigenai", operation="checkGrant", kind="wrong")
    params = {"address": client.credentials.wallet.address}
    answer = await client.http.get(client.urls["eigenai"] + "/checkGrant", params=params)
    assert (answer.status_code, answer.json()["success"]) == (200, False)
