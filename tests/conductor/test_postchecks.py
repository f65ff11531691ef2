"""The four checks after the cutover, carried out as a client would, each way they can fail."""

import contextlib
import hashlib
import hmac
from pathlib import Path

import base58
import httpx
import pytest

from conductor.doubles import DEMO, PHASED, Peer
from cutover.conductor.config import GatewayAccess
from cutover.conductor.postchecks import PostChecks
from cutover.decision.run import CheckView, NodeView, Run
from cutover.errors import CutoverError
from cutover.runbook.gate import PostCheckName

SECRET, KEY, NOW_MS = "hook-secret", "client-key-1", 1_800_000_000_000
HASH = base58.b58encode(bytes(range(3, 35))).decode()
PAID = f"✅ Distributed 0.01 USDC\n🔗 Transaction: {HASH}\n"
RUN = Run(id="run-1", seq=77, generation=6, nodes={"node-1": NodeView("b1", 70, keys_match=True)})


def hook(asked, seen):
    """A plane that checks signature, age and repetition as it should."""
    at = asked.headers["x-ping-timestamp"]
    good = hmac.new(SECRET.encode(), f"{at}.".encode() + asked.body, hashlib.sha256).hexdigest()
    fresh = abs(NOW_MS // 1000 - int(at)) < 300
    event = asked.headers["x-ping-event-id"]
    if not hmac.compare_digest(good, asked.headers["x-ping-signature"]) or not fresh:
        return 401, {"error": "Invalid signature"}
    if event in seen:
        return 401, {"error": "replayed"}
    seen.add(event)
    return 200, {"ok": True}


def routes(**changes):
    seen = set()
    agent = {"success": True, "response": "x", "execution": {"plane": "phala", "upstream": "u"}}

    def process(asked):
        if asked.headers.get("x-agent-api-key") != KEY:
            return 401, {"error": "no", "code": "unauthorized"}
        text = asked.json()["text"]
        return 200, {"response": PAID if text.startswith("pay") else "help", "plane": "phala"}

    return {
        "POST /api/agent": (200, agent),
        "POST /process": process,
        "POST /webhook/pingpay": lambda asked: hook(asked, seen),
        **changes,
    }


class Chain:
    def __init__(self, ok):
        self.ok = ok

    async def transaction(self, reference, not_before_ms):
        assert reference == HASH
        return self.ok, "said the chain"


def sealed():
    return Path("/x/archive.zip"), "ab" * 32


@contextlib.asynccontextmanager
async def checks(runbook=PHASED, run=RUN, chain=True, secret=SECRET, archive=sealed, **changes):
    async with Peer(routes(**changes)) as peer, httpx.AsyncClient(trust_env=False) as client:
        access = GatewayAccess(peer.url, KEY, secret)
        near = Chain(chain) if chain != "none" else None
        made = PostChecks(
            runbook, lambda: run, access, client, near, "pay 0.01 USDC to a/b", archive,
            lambda: NOW_MS,
        )  # fmt: skip
        yield made, peer


async def carry_out(name, **changes):
    async with checks(**changes) as (made, _):
        seen = await made.carry_out(name)
    assert seen.name is name
    assert seen.reasons
    return seen


@pytest.mark.parametrize("name", list(PostCheckName))
async def test_each_check_holds_where_all_is_well(name):
    """Under a production runbook, against a gateway and planes that do as they should."""
    seen = await carry_out(name)
    assert seen.ok, seen.reasons


def execution(plane):
    return {"POST /api/agent": (200, {"success": True, "execution": {"plane": plane}})}


def stamped(plane):
    return {"POST /process": (200, {"response": "help", "plane": plane})}


@pytest.mark.parametrize(
    "changes",
    [
        execution("hetzner"),
        execution(None),
        stamped("hetzner"),
        {"POST /api/agent": (503, {"error": "no"})},
        {"POST /api/agent": "reset"},
        {"run": Run(id="run-1")},
        {"run": Run(id="run-1", nodes={"n": NodeView("b", 1, keys_match=False)})},
        {"run": Run(id="run-1", nodes={"n": NodeView("b", 1, keys_match=None)})},
        stamped(None),
    ],
)
async def test_the_upstream_must_prove_itself(changes):
    """Another plane, no plane, no node, unproved keys or an unstamped answer: not confirmed."""
    assert not (await carry_out(PostCheckName.UPSTREAM_AND_KEYS, **changes)).ok


async def test_a_foreign_plane_may_stamp_nothing_in_a_rehearsal():
    """Today's contract has no plane field; a rehearsal takes the gateway's word, and says so."""
    seen = await carry_out(PostCheckName.UPSTREAM_AND_KEYS, runbook=DEMO, **stamped(None))
    assert seen.ok
    assert "the plane stamps no answer" in seen.reasons


@pytest.mark.parametrize(
    "answer",
    [
        lambda _: (200, {"ok": True}),
        lambda _: (401, {"error": "no"}),
        lambda _: (503, {"error": "no secret"}),
        "reset",
    ],
)
async def test_a_webhook_that_takes_or_refuses_everything_fails(answer):
    """Valid must be 200 and wrong must be 401; one of the two alone proves nothing."""
    changes = {"POST /webhook/pingpay": answer}
    for runbook in (DEMO, PHASED):
        seen = await carry_out(PostCheckName.WEBHOOK_SIGNATURES, runbook=runbook, **changes)
        assert not seen.ok


@pytest.mark.parametrize("weakness", ["stale", "replay"])
async def test_stale_and_replayed_deliveries_must_be_refused(weakness):
    """Production asks for freshness and for dedupe; a rehearsal shows them without insisting."""
    events = set()

    def lax(asked):
        if weakness == "replay":
            events.clear()
        status, _ = hook(asked, events)
        at = asked.headers["x-ping-timestamp"]
        signed = hmac.new(SECRET.encode(), f"{at}.".encode() + asked.body, "sha256").hexdigest()
        old = int(at) < NOW_MS // 1000 - 300 and signed == asked.headers["x-ping-signature"]
        return (200, {}) if old else (status, {})

    changes = {"POST /webhook/pingpay": lax}
    name = PostCheckName.WEBHOOK_SIGNATURES
    assert not (await carry_out(name, **changes)).ok
    events.clear()
    seen = await carry_out(name, runbook=DEMO, **changes)
    assert seen.ok
    assert any(f"{weakness} signature: 200, expected 401" in reason for reason in seen.reasons)


async def test_without_the_secret_no_valid_delivery_can_be_tried():
    """Then production is not confirmed, and a rehearsal says what was left out."""
    name = PostCheckName.WEBHOOK_SIGNATURES
    assert not (await carry_out(name, secret="")).ok
    assert (await carry_out(name, runbook=DEMO, secret="")).ok


async def test_a_webhook_check_can_be_repeated():
    """A second look at another time is another event, not a replay of the first."""
    clock = iter(range(NOW_MS, NOW_MS + 10_000, 1))
    async with checks() as (made, _):
        made._wall_ms = lambda: next(clock)
        for _ in range(2):
            assert (await made.carry_out(PostCheckName.WEBHOOK_SIGNATURES)).ok


@pytest.mark.parametrize(
    "changes",
    [
        {"chain": False},
        {"chain": None},
        {"chain": "none"},
        {"POST /process": (200, {"response": "❌ Payment failed: x"})},
        {"POST /process": (200, {"response": "🔗 Transaction: intent-12345678"})},
        {"POST /process": (503, {"error": "payments are paused"})},
        {"POST /process": "reset"},
    ],
)
async def test_a_receipt_needs_a_transaction_on_the_chain(changes):
    """Failed, unknown, not looked up or no transaction at all: not confirmed."""
    assert not (await carry_out(PostCheckName.RECEIPT_TRANSACTION, **changes)).ok


async def test_a_receipt_is_taken_as_reported_in_a_rehearsal_only():
    """Without a chain to ask, and it says so."""
    name = PostCheckName.RECEIPT_TRANSACTION
    seen = await carry_out(name, runbook=DEMO, chain="none")
    assert seen.ok
    assert "reported only" in seen.reasons[-1]


async def test_a_payment_of_unknown_end_is_not_made_under_another_key():
    """A crash or a verdict of not ok leaves the key; a failure for certain makes a new one."""
    keys = []
    judged = {PostCheckName.RECEIPT_TRANSACTION: CheckView(1, 55, False, ())}
    unknown = Run(**_fields(RUN, post_checks=judged))
    for run in (RUN, unknown, Run(**_fields(RUN, receipt_tries=1))):
        async with checks(run=run) as (made, peer):
            await made.carry_out(PostCheckName.RECEIPT_TRANSACTION)
            keys.append(peer.seen[-1].headers["idempotency-key"])
    assert keys[0] == keys[1] != keys[2]


@pytest.mark.parametrize(
    ("changes", "definite"),
    [
        ({"POST /process": (200, {"response": "❌ Payment failed: no funds"})}, True),
        ({"POST /process": (200, {"response": "🛑 Policy blocked pay: too much"})}, True),
        (
            {"POST /process": (200, {"response": "❌ Payment outcome unknown: no answer yet"})},
            False,
        ),
        ({"POST /process": (200, {"response": f"❌ Odd 🔗 Transaction: {HASH}"})}, False),
        ({"POST /process": (200, {"response": "what?"})}, False),
        ({"POST /process": (200, {"ok": True})}, False),
        ({"POST /process": (502, {"response": "❌ Payment failed"})}, False),
        ({"POST /process": "reset"}, False),
        ({"chain": False}, True),
        ({"chain": None}, False),
        ({"chain": "none"}, False),
    ],
)
async def test_only_what_is_certain_lets_a_receipt_be_paid_anew(changes, definite):
    """The plane said that it did not pay, or the chain knows how the transaction ended."""
    seen = await carry_out(PostCheckName.RECEIPT_TRANSACTION, **changes)
    assert (seen.ok, seen.definite) == (False, definite)


def _fields(run, **changes):
    return {**{name: getattr(run, name) for name in run.__struct_fields__}, **changes}


@pytest.mark.parametrize("error", [CutoverError("a secret is in it"), OSError("disk full")])
async def test_an_archive_that_cannot_be_sealed_fails(error):
    """The cause is in the journal."""

    def broken():
        raise error

    seen = await carry_out(PostCheckName.ARCHIVE, archive=broken)
    assert not seen.ok
    assert str(error) in seen.reasons[0]


async def test_without_a_gateway_nothing_that_needs_one_is_confirmed():
    """No access configured is a failure with advice, except for the archive."""
    async with httpx.AsyncClient() as client:
        made = PostChecks(PHASED, lambda: RUN, None, client, None, "pay", sealed, lambda: NOW_MS)
        for name in PostCheckName:
            seen = await made.carry_out(name)
            assert seen.ok is (name is PostCheckName.ARCHIVE)
