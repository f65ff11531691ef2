"""A payment is final and good, failed, or not to be told: only the first opens a gate."""

import asyncio
import contextlib

import httpx
import pytest

from conductor.doubles import Peer, refused_url
from cutover.conductor import chain_lookup
from cutover.conductor.chain_lookup import NearChain

HASH = "8VJ5qJ7mVxTkXr2pBq1b3n4c5d6e7f8g9hAjBkCmDnEp"


NOW_MS = 1_800_000_000_000


def made(ms):
    return 200, {"result": {"header": {"timestamp_nanosec": str(ms * 1_000_000)}}}


BLOCK = made(NOW_MS)


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch):
    monkeypatch.setattr(chain_lookup, "PAUSE_SECONDS", 0)


@contextlib.asynccontextmanager
async def chain(*answers, more=(), block=BLOCK):
    """A chain whose provider gives these answers in turn, the last one for ever."""
    left = list(answers)

    def asked(request):
        if request.json()["method"] == "block":
            return block
        return left.pop(0) if len(left) > 1 else left[0]

    async with Peer({"POST /": asked}) as peer, httpx.AsyncClient() as client:
        yield NearChain([peer.url + "/", *more], client, "payer.near"), peer


def result(**changes):
    good = {
        "final_execution_status": "FINAL",
        "status": {"SuccessValue": ""},
        "transaction": {"hash": HASH, "signer_id": "payer.near"},
        "transaction_outcome": {"block_hash": "B1"},
        "receipts_outcome": [{"outcome": {"status": {"SuccessValue": ""}}}],
    }
    return 200, {"jsonrpc": "2.0", "id": "cutover", "result": {**good, **changes}}


def unknown(name="UNKNOWN_TRANSACTION"):
    return 200, {"error": {"name": "HANDLER_ERROR", "cause": {"name": name}}}


async def test_final_and_good_is_good():
    """The signer is named for the audit."""
    async with chain(result()) as (near, peer):
        assert await near.transaction(HASH, NOW_MS) == (
            True,
            "final on chain, signed by payer.near",
        )
    asked = peer.seen[0].json()
    assert asked["method"] == "EXPERIMENTAL_tx_status"
    assert asked["params"] == {
        "tx_hash": HASH, "sender_account_id": "payer.near", "wait_until": "NONE",
    }  # fmt: skip


@pytest.mark.parametrize(
    "changes",
    [
        {"status": {"Failure": {"ActionError": {}}}},
        {"receipts_outcome": [
            {"outcome": {"status": {"SuccessValue": ""}}},
            {"outcome": {"status": {"Failure": {"ActionError": {}}}}},
        ]},
    ],
)  # fmt: skip
async def test_a_failure_anywhere_is_a_failure(changes):
    """A top-level success can hide a failed receipt; both are looked at."""
    async with chain(result(**changes)) as (near, peer):
        ok, text = await near.transaction(HASH, NOW_MS)
    assert ok is False
    assert "failed" in text
    assert len(peer.seen) == 1


@pytest.mark.parametrize(
    "answer",
    [
        unknown(),
        result(final_execution_status="EXECUTED_OPTIMISTIC"),
        result(final_execution_status=None),
        result(status="Started"),
        result(status=None),
        result(status={}),
        result(receipts_outcome=[]),
        result(receipts_outcome=None),
        result(receipts_outcome="many"),
        result(receipts_outcome=["x"]),
        result(receipts_outcome=[{"outcome": {"status": "Unknown"}}]),
        result(receipts_outcome=[{"outcome": None}]),
        result(transaction={"hash": HASH[::-1], "signer_id": "payer.near"}),
        result(transaction={}),
        result(transaction=None),
        (200, {"result": []}),
        (200, {}),
        (200, b"<html>"),
        (500, result()[1]),
        (429, {}),
        "reset",
        b"",
    ],
)
async def test_what_is_not_said_clearly_cannot_be_told(answer):
    """Unknown is neither good nor failed, and it is asked again a few times."""
    async with chain(answer) as (near, peer):
        ok, text = await near.transaction(HASH, NOW_MS)
    assert ok is None
    assert text
    assert len(peer.seen) == chain_lookup.TRIES


async def test_it_may_take_a_moment_to_become_final():
    """A transaction that is on its way is looked at again."""
    async with chain(unknown(), result(final_execution_status="NONE"), result()) as (near, _):
        assert (await near.transaction(HASH, NOW_MS))[0] is True


async def test_another_provider_may_know():
    """Unknown at one provider is no proof of absence."""
    async with (
        chain(result()) as (_, second),
        chain(unknown(), more=[second.url + "/"]) as (near, _),
    ):
        assert (await near.transaction(HASH, NOW_MS))[0] is True


async def test_no_provider_knows_nothing():
    """Nobody asked, nobody vouched."""
    async with httpx.AsyncClient() as client:
        assert (await NearChain([], client, "x").transaction(HASH, NOW_MS))[0] is None
        assert (await NearChain([refused_url()], client, "x").transaction(HASH, NOW_MS))[0] is None


async def test_a_silent_provider_does_not_hold_the_run(monkeypatch):
    """Each question has a deadline."""
    monkeypatch.setattr(chain_lookup, "DEADLINE_MS", 30)
    async with chain(lambda: None) as (near, peer):
        peer.routes["POST /"] = lambda _: asyncio.sleep(20, result())
        assert (await near.transaction(HASH, NOW_MS))[0] is None


@pytest.mark.parametrize(
    ("block", "ok"),
    [
        (made(NOW_MS - 119_000), True),
        (made(NOW_MS - 121_000), False),
        (made(NOW_MS - 86_400_000), False),
        ((200, {"result": {"header": {}}}), None),
        ((200, {"result": {"header": {"timestamp_nanosec": "soon"}}}), None),
        ((500, made(NOW_MS)[1]), None),
    ],
)
async def test_a_good_transaction_of_long_ago_is_no_payment_of_now(block, ok):
    """Two minutes for clocks that differ; without the block's time it cannot be told."""
    async with chain(result(), block=block) as (near, _):
        assert (await near.transaction(HASH, NOW_MS))[0] is ok


async def test_somebody_else_s_transaction_is_no_payment():
    """The signer must be the account that pays."""
    async with chain(result(transaction={"hash": HASH, "signer_id": "mallory.near"})) as (near, _):
        ok, text = await near.transaction(HASH, NOW_MS)
    assert ok is False
    assert "mallory.near" in text
    assert "near_sender" in text
