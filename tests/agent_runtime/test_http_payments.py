"""`/payments/{id}`: what the ledger knows, to who has the key."""

import jsonschema_rs

from agent_runtime.near import death, sender

KEY = {"x-agent-api-key": "test-key"}


async def test_a_payment_is_shown_with_the_evidence_of_its_end_as_it_is_described(plane, rails):
    before = rails.usdc("ada.people.near")
    paid = await plane.process("pay 1 USDC to acme/widgets", key="k1")
    answer = await plane.client.get(f"/payments/{paid.json()['paymentId']}", headers=KEY)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    assert (body["state"], body["settled"], body["needsPerson"]) == ("paid", True, False)
    (attempt,) = body["legs"][0]["attempts"]
    evidence = attempt["evidence"]
    assert body["transaction"] == attempt["transaction"] == evidence["transaction"]
    assert body["transaction"] in paid.json()["response"]
    moved = {one["to"]: int(one["units"]) for one in evidence["transfers"]}
    assert sum(moved.values()) == int(body["total"]["units"])
    assert moved["ada.people.near"] == rails.usdc("ada.people.near") - before
    document = (await plane.client.get("/openapi.json")).json()
    schema = {"$ref": "#/components/schemas/Payment", "components": document["components"]}
    jsonschema_rs.validate(schema, body)


async def test_an_open_payment_has_no_transaction_to_show(plane, rails, monkeypatch):
    for name in ("SEND_SECONDS", "RESOLVE_SECONDS", "CLEAR_SECONDS"):
        monkeypatch.setattr(sender, name, 0.3)
    monkeypatch.setattr(death, "LOOK_SECONDS", 0.3)
    rails.fault(
        {"service": "near", "operation": "send_tx", "kind": "status", "after": True},
        {"service": "near", "operation": "tx", "kind": "status"},
    )
    asked = await plane.process("pay 1 USDC to acme/widgets", key="k2")
    body = (await plane.client.get(f"/payments/{asked.json()['paymentId']}", headers=KEY)).json()
    assert (body["state"], body["settled"], body["transaction"]) == ("unknown", False, None)
    (attempt,) = body["legs"][0]["attempts"]
    assert (attempt["evidence"], attempt["state"]) == (None, "unknown")


async def test_a_payment_that_this_plane_does_not_know_is_not_found(plane):
    for name in ("pay-0", "%00", "..%2f", "x" * 2000, "pay-'--"):
        answer = await plane.client.get(f"/payments/{name}", headers=KEY)
        assert answer.status_code == 404
        assert answer.json()["code"] in {"no_such_payment", "not_found"}


async def test_without_near_the_ledger_is_not_said_to_be_empty(tmp_path, run_plane, told):
    async with run_plane(told(tmp_path)) as plane:
        answer = await plane.client.get("/payments/pay-1", headers=KEY)
    assert (answer.status_code, answer.json()["code"]) == (503, "near_not_configured")
