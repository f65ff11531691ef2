"""Two planes and the chain: what the old one left open is paid once by the new one, or never."""

import asyncio
import json
import sqlite3
import stat
from pathlib import Path

import pytest

from agent_runtime.command import run
from agent_runtime.handover import fence as handover_fence
from agent_runtime.handover import tables
from agent_runtime.near import death, resolver, sender
from agent_runtime.near.keys import Key
from agent_runtime.store import open_store
from sandbox.near import genesis
from sandbox.near.provider import Provider

PAY = "pay 10 USDC to acme/widgets"
NAMES = ("ada", "grace", "linus", "margaret")
LOST = {
    "service": "near",
    "operation": "send_tx",
    "kind": "wrong",
    "match": {"receiver_id": genesis.USDC},
}
LOST_FENCE = {**LOST, "variant": "silent_drop", "match": {"receiver_id": genesis.AGENT}}
LOST_SIGHT = {"service": "near", "operation": "tx", "kind": "status"}


def content(db):
    return list(db.iterdump())


def there(environ):
    return Path(environ["PAYMENTS_DB"]).exists()


async def command(capsys, environ, *argv):
    """Run one command beside the world; its exit code and what it printed."""
    code = await asyncio.to_thread(run, [*argv, "--json"], environ)
    return code, json.loads(capsys.readouterr().out.splitlines()[-1])


@pytest.fixture
def planes(rails_shared, tmp_path):
    """Where the old and the new plane live; each has two providers, and a key of its own."""
    told = rails_shared.world.describe()["planes"]
    made = {}
    for name in ("hetzner", "phala"):
        nodes = [
            told[one][f"{kind}env"]["NEAR_NODE_URL"]
            for one, kind in ((name, ""), (name, "marked_"))
        ]
        made[name] = {
            **rails_shared.environ,
            **told[name]["env"],
            "PLANE_ID": name,
            "NEAR_NODE_URL": ",".join(nodes),
            "PAYMENTS_DB": str(tmp_path / f"{name}.db"),
        }
    return made


def moved(rails):
    return sum(rails.usdc(f"{name}.people.near") for name in NAMES)


@pytest.fixture(autouse=True)
def be_patient(monkeypatch):
    """What will not come is not waited for; after calling this, what will come is."""

    def wait(send, resolve, clear):
        monkeypatch.setattr(sender, "SEND_SECONDS", send)
        monkeypatch.setattr(sender, "RESOLVE_SECONDS", resolve)
        monkeypatch.setattr(sender, "CLEAR_SECONDS", clear)

    wait(0.1, 0.1, 0.2)
    monkeypatch.setattr(death, "LOOK_SECONDS", 0.5)
    monkeypatch.setattr(resolver, "PAUSE_SECONDS", 0.02)
    monkeypatch.setattr(handover_fence, "PAUSE_SECONDS", 0.02)
    real = Provider.wait_for
    monkeypatch.setattr(
        Provider, "wait_for", lambda self, name, level, most: real(self, name, level, 0.1)
    )
    return lambda: wait(10.0, 10.0, 10.0)


async def pay_into_the_unknown(rails, run_plane, environ, variant, *more):
    rails.fault({**LOST, "variant": variant}, *more)
    async with run_plane(environ) as old:
        told = (await old.process(PAY, key=f"key-{variant}")).json()
    assert told["response"].startswith("❌ Payment outcome unknown"), told
    return told["paymentId"]


def also_left(environ, **states):
    """Payments in the old plane's ledger as a crash leaves them: stored, and never signed."""
    db = open_store(environ["PAYMENTS_DB"])
    with db:
        for name, state in states.items():
            db.execute(
                "INSERT INTO payments SELECT ?, repo, token, units, author, plan, ?, '', '',"
                " created_at, updated_at, '', rail FROM payments LIMIT 1",
                (name, state),
            )
            db.execute(
                "INSERT INTO legs SELECT ?, number, contract, wrap, transfers FROM legs LIMIT 1",
                (name,),
            )
    db.close()


async def take_over(capsys, planes, tmp_path, still_open=1):
    """Export and import, as the page about it says; the old plane's key."""
    file = str(tmp_path / "ledger.export")
    code, told = await command(capsys, planes["hetzner"], "ledger", "export", file)
    assert (code, told["sealed"]) == (0, True), told
    chosen = ["ledger", "import", file, "--digest", told["digest"]]
    code, other = await command(capsys, planes["phala"], *chosen[:-1], "0" * 64)
    assert (code, "not the one given" in other["error"]) == (1, True), other
    code, would = await command(capsys, planes["phala"], *chosen, "--dry-run")
    assert (code, there(planes["phala"])) == (0, False), would
    code, did = await command(capsys, planes["phala"], *chosen)
    assert (code, did["added"], did["open"]) == (0, would["added"], still_open)
    assert (await command(capsys, planes["phala"], *chosen))[1]["added"] == {}
    return told["public_key"]


async def settled(plane):
    async with asyncio.timeout(5):
        while await plane.service.sender.settle_all():  # noqa: ASYNC110 - a chain has no event
            await asyncio.sleep(0.01)
    return plane.service.payer.adopt_all()


@pytest.mark.asyncio(loop_scope="module")
async def test_what_landed_unseen_is_found_paid_by_the_new_plane_which_signs_nothing(
    planes, rails_shared, run_plane, tmp_path, capsys, be_patient
):
    rails, before = rails_shared, moved(rails_shared)
    payment_id = await pay_into_the_unknown(
        rails, run_plane, planes["hetzner"], "accept_then_timeout", LOST_SIGHT
    )
    await take_over(capsys, planes, tmp_path)
    rails.heal()
    be_patient()
    sent = len(rails.transactions())
    async with run_plane(planes["phala"]) as new:
        text = await new.say(PAY, key="key-accept_then_timeout")
        assert text.startswith("✅ Distributed 10 USDC"), text
        assert (await new.service.payer.retry(payment_id)).text.startswith("✅")
    assert len(rails.transactions()) == sent
    assert moved(rails) == before + 10_000_000


@pytest.mark.asyncio(loop_scope="module")
async def test_a_fence_is_refused_where_it_would_hit_the_wrong_key_or_prove_nothing(
    planes, rails_shared, capsys
):
    told, sent = planes["phala"], len(rails_shared.transactions())
    own, other = (Key.parse(planes[name]["NEAR_PRIVATE_KEY"]).text for name in ("phala", "hetzner"))
    alone = {**told, "NEAR_NODE_URL": told["NEAR_NODE_URL"].partition(",")[0]}
    stranger = "ed25519:" + "1" * 32
    for environ, arguments, code, said in (
        (told, ["--key", own, "--yes"], 1, "the key that would sign"),
        (told, ["--key", "ed25519:abc", "--yes"], 1, "no public key"),
        (told, ["--key", stranger, "--yes"], 1, "does not know it"),
        (told, ["--key", other, "--yes"], 1, "import the other plane's ledger first"),
        (told, ["--key", other, "--dry-run"], 1, "import the other plane's ledger first"),
        (alone, ["--key", other, "--yes"], 1, "one provider's word fences nothing"),
        (told, ["--key", other], 2, "say --dry-run"),
        (told, ["--yes"], 2, "--key"),
        ({**told, "NEAR_PRIVATE_KEY": ""}, ["--key", other, "--yes"], 2, "NEAR_PRIVATE_KEY"),
    ):
        found = await command(capsys, environ, "key", "fence", *arguments)
        assert found[0] == code, found
        assert said in found[1]["error"]
    assert len(rails_shared.transactions()) == sent


@pytest.mark.asyncio(loop_scope="module")
async def test_beside_a_running_server_only_a_snapshot_is_made_and_nothing_takes_it(
    planes, rails_shared, run_plane, tmp_path, capsys
):
    old, other = planes["hetzner"], planes["phala"]
    file = tmp_path / "ledger.export"
    async with run_plane(old) as plane:
        await plane.say("mode draft")
        db = plane.service.db
        found = {row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type='table'")}
        assert found - {"sqlite_sequence"} <= {t.name for t in tables.TABLES} | tables.LEFT_OUT
        code, told = await command(capsys, old, "ledger", "export", str(file))
        assert (code, file.exists()) == (2, False)
        assert "only one may" in told["error"]
        before = content(db)
        code, told = await command(capsys, old, "ledger", "export", str(file), "--snapshot")
        assert (code, told["sealed"], told["rows"]["modes"]) == (0, False, 1), told
        assert content(db) == before
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    raw = file.read_text()
    assert not [name for name in ("NEAR_PRIVATE_KEY", "AGENT_SERVER_API_KEY") if old[name] in raw]
    assert (await command(capsys, other, "ledger", "import", str(file)))[0] == 1
    assert (await command(capsys, other, "ledger", "import", str(file), "--dry-run"))[0] == 0
    assert not there(other)
    assert (await command(capsys, old, "ledger", "export", str(file)))[0] == 1  # there already
    assert (await command(capsys, old, "ledger", "reopen"))[0] == 2
    for file, did in (("sealed", "reopened"), ("", "nothing")):
        if file:
            await command(capsys, old, "ledger", "export", str(tmp_path / file))
        code, told = await command(capsys, old, "ledger", "reopen", "--yes")
        assert (code, told["did"].startswith(did)) == (0, True)
    async with run_plane(old) as plane:
        assert plane.server.started


@pytest.mark.asyncio(loop_scope="module")
async def test_what_the_old_plane_lost_is_paid_once_by_the_new_one_after_the_fence(
    planes, rails_shared, run_plane, tmp_path, capsys, be_patient
):
    rails, before = rails_shared, moved(rails_shared)
    payment_id = await pay_into_the_unknown(rails, run_plane, planes["hetzner"], "silent_drop")
    also_left(planes["hetzner"], crashed="planned", failed="failed")
    old_key = await take_over(capsys, planes, tmp_path, 2)
    async with run_plane(planes["phala"]) as new:  # still lost, whoever sends the bytes
        text = await new.say(PAY, key="key-silent_drop")
        assert text.startswith("❌ Payment outcome unknown"), text
        payer = new.service.payer
        assert {one.id for one in payer.adopt_all()} == {payment_id, "crashed"}
        for name in ("crashed", "failed"):
            assert "its key " + old_key + " is not fenced yet" in (await payer.retry(name)).text
    fence = ["key", "fence", "--key", old_key]
    sent = len(rails.transactions())
    with sqlite3.connect(planes["phala"]["PAYMENTS_DB"]) as db:
        stored = content(db)
        code, would = await command(capsys, planes["phala"], *fence, "--dry-run")
        assert (code, would["would"], would["public_key"]) == (0, "send", old_key), would
        assert (content(db), len(rails.transactions())) == (stored, sent)
    rails.fault({**LOST, "variant": "silent_drop"}, LOST_FENCE)
    code, did = await command(capsys, planes["phala"], *fence, "--yes")
    assert (code, "not known to be final" in did["error"]) == (1, True), did
    rails.fault({**LOST, "variant": "silent_drop"})
    be_patient()
    code, did = await command(capsys, planes["phala"], *fence, "--yes")
    assert (code, did["did"], did["releases"]) == (0, "fenced", True), did
    assert did["evidence"]["report"]["tx_hash"] == did["tx_hash"]
    code, again = await command(capsys, planes["phala"], *fence, "--yes")
    assert (code, again["tx_hash"], len(rails.transactions())) == (0, did["tx_hash"], sent + 1)
    rails.heal()
    async with run_plane(planes["phala"]) as new:
        assert await settled(new) == []
        text = await new.say(PAY, key="key-silent_drop")
        assert text.startswith("❌ Payment failed: its key was taken off the account"), text
        assert moved(rails) == before
        assert (await new.service.payer.retry(payment_id)).text.startswith("✅ Distributed 10 USDC")
        await new.service.payer.retry(payment_id)
        assert moved(rails) == before + 10_000_000
        for name in ("crashed", "failed"):
            assert (await new.service.payer.retry(name)).text.startswith("✅")
    assert moved(rails) == before + 30_000_000
