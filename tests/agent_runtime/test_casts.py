"""What a cast asks for is done once, money is only planned, the answer goes where it was said."""

import asyncio
import json
import re
import sqlite3
import time
import zlib
from contextlib import closing
from dataclasses import replace
from types import SimpleNamespace

import pytest

from agent_runtime import checks, wire
from agent_runtime.errors import ApiError
from agent_runtime.rails.neynar import CAST_MAX_BYTES, PARTS_MAX, Neynar, parts_of
from agent_runtime.settings import Settings
from agent_runtime.webhooks import castbook
from agent_runtime.webhooks import casts as worker
from agent_runtime.webhooks.castbook import CastBook, Entry
from agent_runtime.webhooks.neynar import Cast, read_cast, sign
from sandbox.credentials import BOT_FID

pytestmark = pytest.mark.asyncio(loop_scope="module")
PATH = "/webhook/farcaster"
SECONDS = 15


def bot(rails):
    return rails.world.neynar.casts


class Speaker:
    """Somebody who casts to the bot; each test is somebody else."""

    def __init__(self, rails, plane, fid):
        self.rails, self.plane, self.fid = rails, plane, fid
        self.sender = rails.world._senders()["neynar"]

    async def deliver(self, text, kind="good", copies=1, event=None, **more):
        told = {"text": text, "fid": self.fid, "bot": BOT_FID, **(event or {}), **more}
        url = f"{self.plane.client.base_url}{PATH}"
        return await self.sender.deliver(url, kind, copies, told)

    async def reply_to(self, digest, *, parts=1):
        """All that the bot said under a cast, once it has said so many parts."""
        until = time.monotonic() + SECONDS
        while True:
            said = [cast["text"] for cast in bot(self.rails) if cast["parent"] == digest]
            if len(said) >= parts and not self.open(digest):
                return "\n".join(said)
            assert time.monotonic() < until, (said, self.open(digest))
            await asyncio.sleep(0.01)

    def rows(self, digest):
        db = self.plane.service.db
        return db.execute("SELECT * FROM casts WHERE hash=?", (digest,)).fetchall()

    def open(self, digest):
        return [row for row in self.rows(digest) if row[3] == "open"]

    async def ask(self, text, **more):
        (answer,) = await self.deliver(text, **more)
        assert (answer["status"], json.loads(answer["body"])) == (
            200,
            {"success": True, "duplicate": False},
        )
        return await self.reply_to(answer["event_id"])


@pytest.fixture
def speaker(rails_shared, plane_shared, request):
    fid = 1_000_000 + zlib.crc32(request.node.name.encode())
    return Speaker(rails_shared, plane_shared, fid)


async def test_a_cast_is_answered_under_itself_by_the_bot(speaker, rails_shared):
    assert "analyze" in await speaker.ask("@gitsplits help")
    text = await speaker.ask("@gitsplits analyze acme/widgets")
    assert text.startswith("📊 Analysis for github.com/acme/widgets")
    assert {cast["author"]["fid"] for cast in bot(rails_shared)} == {BOT_FID}
    text = await speaker.ask("@gitsplits create split for acme/widgets 70/30")
    assert text.startswith("📝 Plan for create; nothing has been done yet")


async def test_the_bot_is_connected_once_the_canary_has_seen_its_signer(
    rails_shared, speaker, run_plane
):
    async def state(plane):
        return (await plane.client.get("/health")).json()["services"]["farcaster"]

    async with run_plane(rails_shared.environ) as plane:
        assert await state(plane) == "disconnected"
        await plane.canary()
        assert await state(plane) == "connected"
        for variant in ("unauthorized", "html"):
            rails_shared.fault({"service": "neynar", "kind": "wrong", "variant": variant})
            answer = await plane.canary()
            assert answer.json()["checks"]["farcaster"]["ok"] is False
            assert answer.json()["ok"] is True  # casts are no part of the contract's verdict
            assert await state(plane) == "disconnected"
    assert "expected 'approved'" in checks.farcaster({"status": "revoked", "fid": 7}, "7")
    assert "speaks for 8" in checks.farcaster({"status": "approved", "fid": 8}, "7")


async def test_money_is_planned_and_paid_once_its_author_and_nobody_else_approves(
    speaker, rails_shared
):
    before = len(rails_shared.transactions())
    text = await speaker.ask("@gitsplits pay 1 USDC to acme/widgets")
    plan = re.search(r"approve (plan-[0-9a-f]{10})", text)[1]
    stranger = Speaker(rails_shared, speaker.plane, speaker.fid + 1)
    await stranger.ask(f"@gitsplits approve {plan}")
    web = await speaker.plane.say(f"approve {plan}", author=f"farcaster:{speaker.fid}")
    assert not web.startswith("✅")
    for channel, status in (("farcaster", 400), ("cast", 200), ("Farcaster", 200)):
        told = {"author": f"farcaster:{speaker.fid}", "type": channel}
        answer = await speaker.plane.process(f"approve {plan}", **told)
        assert answer.status_code == status, "nobody with a key speaks for who signed"
        assert "✅" not in answer.text
    assert len(rails_shared.transactions()) == before
    paid = await speaker.ask(f"@gitsplits approve {plan}")
    assert paid.startswith("✅ Distributed 1 USDC")
    assert "🧾 Receipt: " in paid
    assert len(rails_shared.transactions()) == before + 1


async def test_copies_at_once_and_later_are_one_plan_and_one_reply(speaker, rails_shared):
    answers = await speaker.deliver("@gitsplits pay 2 USDC to acme/widgets", copies=10)
    told = [json.loads(answer["body"]) for answer in answers]
    assert sorted(one["duplicate"] for one in told) == [False] + [True] * 9
    await speaker.reply_to(answers[0]["event_id"])
    (again,) = await speaker.deliver("", "replay")
    assert json.loads(again["body"]) == {"success": True, "duplicate": True}
    plans = speaker.plane.service.db.execute(
        "SELECT count(*) FROM plans WHERE author=?", (f"farcaster:{speaker.fid}",)
    ).fetchone()
    assert plans == (1,)
    said = [cast for cast in bot(rails_shared) if cast["parent"] == answers[0]["event_id"]]
    assert len({cast["text"] for cast in said}) == len(said) >= 1


async def test_the_same_hash_with_another_text_changes_nothing(speaker, rails_shared):
    digest = "0x" + "c1" * 20
    first = await speaker.ask("@gitsplits help", hash=digest)
    (answer,) = await speaker.deliver("@gitsplits pay 5 USDC to acme/widgets", hash=digest)
    assert json.loads(answer["body"])["duplicate"] is True
    assert await speaker.reply_to(digest) == first


@pytest.mark.parametrize(("kind", "code"), [("wrong", "invalid_signature"), ("stale", "stale_delivery")])  # fmt: skip  # noqa: E501 - one line
async def test_a_forged_or_old_delivery_is_refused(speaker, kind, code):
    (answer,) = await speaker.deliver("@gitsplits pay 3 USDC to acme/widgets", kind)
    assert (answer["status"], json.loads(answer["body"])["code"]) == (401, code)
    count = speaker.plane.service.db.execute(
        "SELECT count(*) FROM casts WHERE fid=?", (speaker.fid,)
    ).fetchone()
    assert count == (0,)


async def test_only_what_is_said_to_the_bot_is_taken_and_never_its_own_words(speaker):
    for event in ({"bot": None}, {"bot": 5}, {"fid": BOT_FID}):
        (answer,) = await speaker.deliver("@gitsplits help", **event)
        assert answer["status"] == 200
        assert not speaker.rows(answer["event_id"])


@pytest.mark.parametrize(
    "event", [{"hash": "0x12"}, {"fid": None}, {"fid": True}, {"fid": "7"}, {"text": None}]
)
async def test_a_signed_cast_without_hash_author_or_text_is_a_400(speaker, event):
    (answer,) = await speaker.deliver("@gitsplits help", event=event)
    assert answer["status"] == 400


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "reset", "after": True},
        {"kind": "status", "status": 504, "after": True},
        {"kind": "wrong", "variant": "no_hash"},
        {"kind": "wrong", "variant": "html"},
        {"kind": "status", "status": 429},
    ],
)
async def test_a_reply_that_may_be_out_is_sent_again_and_appears_once(
    speaker, rails_shared, monkeypatch, fault
):
    monkeypatch.setattr(worker, "BACK_OFF_SECONDS", 0.0)
    rails_shared.fault({"service": "neynar", "operation": "cast", "count": 2, **fault})
    digest = (await speaker.deliver("@gitsplits mode draft"))[0]["event_id"]
    speaker.plane.service.hooks.casts._wake.set()
    assert await speaker.reply_to(digest)
    assert sum(cast["parent"] == digest for cast in bot(rails_shared)) == 1


async def test_a_reply_that_neynar_refuses_is_given_up(speaker, rails_shared):
    rails_shared.fault({"service": "neynar", "kind": "wrong", "variant": "unauthorized"})
    digest = (await speaker.deliver("@gitsplits help"))[0]["event_id"]
    until = time.monotonic() + SECONDS
    while speaker.open(digest):
        assert time.monotonic() < until
        await asyncio.sleep(0.01)
    assert not [cast for cast in bot(rails_shared) if cast["parent"] == digest]


async def test_what_was_done_and_not_noted_is_not_done_again(speaker, monkeypatch):
    """As after a crash between the deed and its note: the hash is the key of both attempts."""
    book, failed = speaker.plane.service.hooks.casts._book, []
    real = book.answered

    def answered(digest, answer):
        if not failed:
            failed.append(answer)
            raise sqlite3.OperationalError("disk I/O error")
        real(digest, answer)

    monkeypatch.setattr(book, "answered", answered)
    monkeypatch.setattr(worker, "BACK_OFF_SECONDS", 0.0)
    text = await speaker.ask("@gitsplits pay 1 USDC to acme/widgets")
    assert re.findall("plan-[0-9a-f]{10}", text) == re.findall("plan-[0-9a-f]{10}", failed[0])


async def test_what_a_process_left_is_answered_by_the_next_once(rails_shared, run_plane):
    """The first process has made its plan, and is gone before Neynar takes the reply."""
    rails_shared.fault({"service": "neynar", "kind": "hang"})
    async with run_plane(rails_shared.environ) as plane:
        speaker = Speaker(rails_shared, plane, 4_321)
        (answer,) = await speaker.deliver("@gitsplits pay 4 USDC to acme/widgets")
        until = time.monotonic() + SECONDS
        while not any(row[4] for row in speaker.open(answer["event_id"])):
            assert time.monotonic() < until
            await asyncio.sleep(0.01)
    rails_shared.heal()
    async with run_plane(rails_shared.environ) as plane:
        speaker = Speaker(rails_shared, plane, 4_321)
        assert "approve plan-" in await speaker.reply_to(answer["event_id"])
        assert plane.service.db.execute("SELECT count(*) FROM plans").fetchone() == (1,)


async def test_without_one_of_its_variables_there_is_no_bot(rails_shared, run_plane):
    needed = ("FARCASTER_BOT_FID", "NEYNAR_API_KEY", "NEYNAR_SIGNER_UUID")
    for name in (*needed, "FARCASTER_WEBHOOK_SECRET"):
        environ = {**rails_shared.environ, name: ""}
        assert not Settings.from_environ(environ).casts_answered
    async with run_plane(environ) as plane:
        (answer,) = await Speaker(rails_shared, plane, 1).deliver("@gitsplits help")
        code = json.loads(answer["body"])["code"]
        assert (answer["status"], code) == (503, "webhook_not_configured")
        health = (await plane.client.get("/health")).json()
        assert health["services"]["farcaster"] == "disabled"


@pytest.mark.parametrize("text", ["a\n" * 700, "ü" * 1500, "x" * 20_000, "one\n" + "é" * 900])
async def test_a_long_answer_comes_in_parts_that_fit(text):
    parts = parts_of(text)
    assert 1 < len(parts) <= PARTS_MAX
    assert all(0 < len(part.encode()) <= CAST_MAX_BYTES for part in parts)
    whole = "".join(parts).replace("\n", "")
    wanted = text.replace("\n", "")
    head, cut, tail = whole.partition("…")
    assert whole == wanted or (cut and wanted.startswith(head) and wanted.endswith(tail) and tail)


CAST = Cast("0x" + "a" * 40, 7, "@gitsplits help")


@pytest.mark.parametrize(
    ("age", "kind", "taken"),
    [
        (0, "cast.created", True),
        (3_600, "cast.created", True),
        (3_601, "cast.created", 401),
        (-300, "cast.created", True),
        (-301, "cast.created", 401),
        (0, "cast.deleted", False),
    ],
)
async def test_a_delivery_counts_for_an_hour_and_only_of_a_cast_that_was_made(age, kind, taken):
    profiles = [{"fid": 9}]
    data = {"hash": CAST.hash, "author": {"fid": 7}, "text": "x", "mentioned_profiles": profiles}
    body = json.dumps({"created_at": 1_000_000 - age, "type": kind, "data": data}).encode()
    told = (("s",), sign(b"s", body), body, 9, 1_000_000.0)
    if taken == 401:
        with pytest.raises(ApiError) as refused:
            read_cast(*told)
        assert refused.value.status == 401
    else:
        assert (read_cast(*told) is not None) is taken


@pytest.fixture
def book():
    with closing(sqlite3.connect(":memory:")) as db:
        yield CastBook(db)


async def test_so_many_casts_may_wait_and_one_is_tried_so_often(book, monkeypatch):
    """What is answered makes room; a reply that comes much later is given up."""
    monkeypatch.setattr(castbook, "OPEN_MAX", 1)
    book.enter(CAST)
    other = replace(CAST, hash="0x" + "b" * 40)
    with pytest.raises(ApiError, match="too many casts"):
        book.enter(other)
    desk = SimpleNamespace(_book=book)
    for tries in range(worker.TRIES_MAX):
        assert book._db.execute("SELECT state, tries FROM casts").fetchone() == ("open", tries)
        worker.CastDesk._later(desk, Entry(CAST, "", 0, tries), "silence")
    assert book._db.execute("SELECT state FROM casts").fetchone() == ("given_up",)
    assert book.enter(other)


async def test_parts_that_are_out_are_not_sent_again_and_each_has_a_key_of_its_own(
    book, monkeypatch
):
    keys = []

    async def ask(client, service, method, url, *, content, **more):
        keys.append(json.loads(content)["idem"])
        return wire.Answer("farcaster", 200, {}, b'{"success": true, "cast": {"hash": "0x1"}}')

    monkeypatch.setattr(wire, "ask", ask)
    book.enter(CAST)
    desk = SimpleNamespace(_book=book, _neynar=Neynar(None, Settings.from_environ({})))
    answer = "a" * 2_500
    for sent in (0, 1):
        await worker.CastDesk._attend(desk, Entry(CAST, answer, sent, 0))
    assert len(keys) == 2 * len(parts_of(answer)) - 1
    assert len(set(keys)) == len(parts_of(answer))
