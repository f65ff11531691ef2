"""Ping's deliveries: authentic, fresh, new, or refused."""

import asyncio
import hashlib
import hmac
import json
import time

import pytest

from agent_runtime.errors import SettingsError
from agent_runtime.settings import Settings

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
    monkeypatch.setattr(bare.service.hooks.ping, "_secrets", ())
    assert (await deliver(bare, headers=signed(secret=b""))).status_code == 503


async def test_of_many_copies_at_once_one_is_taken(bare):
    body = json.dumps({"id": "whevt_many"}).encode()
    answers = await asyncio.gather(*(deliver(bare, body, signed(body)) for _ in range(12)))
    assert sorted(answer.status_code for answer in answers) == [200] + [401] * 11


async def test_while_a_secret_is_replaced_both_are_good_and_no_third(bare, monkeypatch):
    monkeypatch.setattr(bare.service.hooks.ping, "_secrets", ("hook", "next"))
    for number, (secret, status) in enumerate(((SECRET, 200), (b"next", 200), (b"hooknext", 401))):
        body = json.dumps({"id": f"whevt_rotation_{number}"}).encode()
        assert (await deliver(bare, body, signed(body, secret=secret))).status_code == status


async def test_a_signed_body_with_half_a_character_is_a_400(bare):
    body = b'{"id": "whevt_\\ud800"}'
    assert (await deliver(bare, body, signed(body))).json()["code"] == "invalid_json"


async def test_a_body_over_the_limit_is_not_even_judged(bare):
    assert (await deliver(bare, b" " * 65_537, {})).status_code == 413


async def test_two_secrets_are_read_and_a_third_is_refused():
    name = "PING_PAY_WEBHOOK_SECRET"
    assert Settings.from_environ({name: "old, new"}).ping_secrets == ("old", "new")
    with pytest.raises(SettingsError, match=f"{name}: 3 secrets"):
        Settings.from_environ({name: "a,b,c"})


def one_header(*, stamp=None, macs=None, body=BODY):
    """The form in which one header holds time and signatures."""
    good = signed(body)
    stamp = good["x-ping-timestamp"] if stamp is None else stamp
    macs = [good["x-ping-signature"]] if macs is None else macs
    return {"x-ping-signature": ",".join([f"t={stamp}", *(f"v1={mac}" for mac in macs)])}


async def test_one_header_may_hold_time_and_signatures_and_one_good_one_is_enough(bare):
    body = json.dumps({"id": "whevt_form"}).encode()
    good = signed(body)["x-ping-signature"]
    sent = one_header(macs=["0" * 64, good], body=body)
    assert (await deliver(bare, body, sent)).status_code == 200
    assert (await deliver(bare, body, sent)).json()["code"] == "replayed_delivery"


@pytest.mark.parametrize(
    "headers",
    [
        one_header(macs=[]),
        one_header(macs=["0" * 64]),
        one_header(stamp="1"),
        one_header(stamp=signed()["x-ping-timestamp"] + ",t=1700000001"),
        one_header(macs=["0" * 64] * 4 + [signed()["x-ping-signature"]]),
        {"x-ping-signature": "v1=" + signed()["x-ping-signature"], "x-ping-timestamp": "1"},
        {"x-ping-signature": "t=1," + "v1=," * 200 + "v1=" + signed()["x-ping-signature"]},
        {"x-ping-signature": "="},
    ],
)
async def test_a_header_of_that_form_that_is_not_right_is_refused(bare, headers):
    answer = await deliver(bare, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_signature")


async def test_an_old_time_in_that_form_is_stale_whatever_the_other_header_says(bare):
    old = signed(age=400)
    sent = one_header(stamp=old["x-ping-timestamp"], macs=[old["x-ping-signature"]])
    sent["x-ping-timestamp"] = str(int(time.time()))
    assert (await deliver(bare, headers=sent)).json()["code"] == "stale_delivery"
