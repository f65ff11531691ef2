"""Orders between builds and planes: an old ledger gets its rail, an open order is gone on with."""

import asyncio
import contextlib
import json
import sqlite3

import pytest

from agent_runtime.command import run
from agent_runtime.payments import PaymentLedger, PaymentState, Plan, Share
from agent_runtime.payouts import pingpay
from agent_runtime.payouts.orders import OrderBook
from agent_runtime.store import open_store

pytestmark = pytest.mark.asyncio(loop_scope="module")
PAY = "pay 1 USDC to acme/widgets"
NAMES = ("ada", "grace", "linus", "margaret")
BEFORE = """
CREATE TABLE payments (
  id TEXT PRIMARY KEY, repo TEXT NOT NULL, token TEXT NOT NULL, units TEXT NOT NULL,
  author TEXT NOT NULL, plan TEXT NOT NULL, state TEXT NOT NULL, tx_hash TEXT NOT NULL DEFAULT '',
  detail TEXT NOT NULL DEFAULT '', created_at REAL NOT NULL, updated_at REAL NOT NULL,
  origin TEXT NOT NULL DEFAULT ''
);
INSERT INTO payments VALUES ('pay-1','r','USDC','1','a','{}','paid','H','',1.5,2.5,'');
PRAGMA user_version=1;
"""


async def test_all_that_an_older_build_planned_leaves_by_near(tmp_path):
    path = tmp_path / "payments.db"
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.executescript(BEFORE)
    for _ in range(2):
        with contextlib.closing(open_store(str(path))) as db:
            assert db.execute("SELECT id, rail FROM payments").fetchall() == [("pay-1", "near")]


@pytest.fixture
def planes(rails_shared, tmp_path):
    told = rails_shared.world.describe()["planes"]
    return {
        name: {
            **rails_shared.environ,
            **told[name]["env"],
            "PLANE_ID": name,
            "PAYMENTS_DB": str(tmp_path / f"{name}.db"),
            "AGENT_PAYOUT_RAIL": "pingpay",
        }
        for name in ("hetzner", "phala")
    }


async def command(capsys, environ, *argv):
    code = await asyncio.to_thread(run, [*argv, "--json"], environ)
    return code, json.loads(capsys.readouterr().out.splitlines()[-1])


async def test_what_another_plane_planned_is_not_called_failed_before_its_key_is_fenced(
    rails_shared, planes, run_plane, capsys, tmp_path
):
    with contextlib.closing(open_store(planes["hetzner"]["PAYMENTS_DB"])) as db:
        payments = PaymentLedger(db)
        plan = Plan("r", "s", "USDC", 6, 1, (Share("a", "ada.people.near", 1),), (), ())
        payments.plan("pay-bound", "me", plan, rail="pingpay")
    file = str(tmp_path / "bound.export")
    assert (await command(capsys, planes["hetzner"], "ledger", "export", file))[0] == 0
    assert (await command(capsys, planes["phala"], "ledger", "import", file))[0] == 0
    async with run_plane(planes["phala"]) as new:
        found = new.service.payments.get("pay-bound")
    assert (found.state, found.rail) == (PaymentState.UNKNOWN, "pingpay")
    assert "is not fenced yet" in found.detail


def moved(world):
    return sum(world.usdc(f"{name}.people.near") for name in NAMES)


async def test_what_the_old_plane_ordered_and_was_not_told_of_is_paid_once_by_the_new_one(
    rails_shared, planes, run_plane, capsys, tmp_path, monkeypatch
):
    monkeypatch.setattr(pingpay, "AGAIN_SECONDS", 0.0)
    before = moved(rails_shared)
    lost = {"service": "ping", "operation": "intents", "kind": "status", "status": 504}
    rails_shared.fault({**lost, "after": True})
    async with run_plane(planes["hetzner"]) as old:
        assert "unknown" in await old.say(PAY, key="handed over")
    rails_shared.heal()
    file = str(tmp_path / "ledger.export")
    assert (await command(capsys, planes["hetzner"], "ledger", "export", file))[0] == 0
    code, took = await command(capsys, planes["phala"], "ledger", "import", file)
    assert (code, took["open"]) == (0, 1)
    with contextlib.closing(open_store(planes["phala"]["PAYMENTS_DB"])) as db:
        (order,) = OrderBook(db).open()
        assert json.loads(order.request)["total_amount"] == "1000000"
    async with run_plane(planes["phala"]) as new:
        text = await new.say(PAY, key="handed over")
        async with asyncio.timeout(10):
            while not text.startswith("✅"):
                await new.service.payouts.settle_due()
                text = await new.say(PAY, key="handed over")
    assert "via pingpay!" in text
    assert moved(rails_shared) == before + 1_000_000
