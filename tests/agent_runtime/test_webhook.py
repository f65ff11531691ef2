"""Ping's deliveries: authentic, fresh, new, or refused."""

import hashlib
import hmac
import json
import time

import pytest

pytestmark = pytest.mark.asyncio(loop_scope="module")

SECRET = b"hook"
BODY = json.dumps({"id": "whevt_1", "type": "payment.success", "data": {}}).encode()


def signed(body=BODY, *, age=0, secret=SECRET, stamp=None):
    stamp = str(int(time.time()) - age) if stamp is None else stamp
    mac = hmac.new(secret, stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return {"x-ping-timestamp": stamp, "x-ping-signature": mac}


async def deliver(plane, body=BODY, headers=None):
    sent = signed(body) if headers is None else headers
    return await plane.client.post("/webhook/pingpay", content=body, headers=sent)


async def test_a_good_delivery_is_taken_once(bare):
    first, again = await deliver(bare), await deliver(bare)
    assert (first.status_code, first.json()) == (200, {"ok": True})
    assert (again.status_code, again.json()["error"]) == (401, "Invalid signature")


async def test_the_same_event_with_a_fresh_signature_is_a_replay_too(bare):
    body = json.dumps({"id": "whevt_3"}).encode()
    assert (await deliver(bare, body, signed(body, age=10))).status_code == 200
    assert (await deliver(bare, body, signed(body))).json()["code"] == "replayed_delivery"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        signed(secret=b"other"),
        signed(body=BODY + b" "),
        {**signed(), "x-ping-signature": ""},
        {**signed(), "x-ping-signature": b"\xc3\xa9"},
        {**signed(), "x-ping-timestamp": "1"},
    ],
)
async def test_a_wrong_signature_is_refused(bare, headers):
    answer = await deliver(bare, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_signature")


@pytest.mark.parametrize("stamp", ["", "abc", "-5", "1e9", "99999999999999999999", "1"])
async def test_a_signed_delivery_without_a_fresh_timestamp_is_refused(bare, stamp):
    answer = await deliver(bare, headers=signed(stamp=stamp))
    assert (answer.status_code, answer.json()["code"]) == (401, "stale_delivery")


async def test_five_minutes_are_the_limit_both_ways(bare):
    fresh = json.dumps({"id": "whevt_2"}).encode()
    assert (await deliver(bare, fresh, signed(fresh, age=298))).status_code == 200
    assert (await deliver(bare, headers=signed(age=303))).status_code == 401
    assert (await deliver(bare, headers=signed(age=-303))).status_code == 401


async def test_a_signed_body_that_is_no_object_is_a_400(bare):
    assert (await deliver(bare, b"[]", signed(b"[]"))).json()["code"] == "invalid_json"


async def test_without_a_secret_nothing_is_taken(bare, monkeypatch):
    monkeypatch.setattr(bare.service.webhook, "_secret", "")
    assert (await deliver(bare, headers=signed(secret=b""))).status_code == 503
