"""What a final transaction proves: PAID is the plan to the unit, FAILED is nothing at all."""

import json
import re
import sqlite3

import pytest

from agent_runtime.near.evidence import (
    Evidence,
    Expected,
    Match,
    Moved,
    compare,
    from_json,
    provider_name,
    take,
    to_json,
)
from agent_runtime.near.ledger import Attempt, State
from agent_runtime.near.outcome import Receipt, Report
from agent_runtime.payments import Leg, PaymentState
from agent_runtime.settlement import settle
from agent_runtime.store import open_store
from sandbox.near import genesis

PLAN = (("ada.near", 7), ("grace.near", 3))
LEG = Leg(1, "usdc.near", wrap=False, transfers=PLAN)
EXPECTED = Expected("usdc.near", "us.near", "pay-1", PLAN)


def event(*transfers, memo="pay-1", sender="us.near", **other):
    data = [
        {"old_owner_id": sender, "new_owner_id": to, "amount": str(units), "memo": memo}
        for to, units in transfers
    ]
    told = {"standard": "nep141", "version": "1.0.0", "event": "ft_transfer", "data": data}
    return "EVENT_JSON:" + json.dumps({**told, **other})


def receipt(*logs, ok=True, executor="usdc.near"):
    return Receipt("r", "LATER", executor, ok, logs)


def evidence(*receipts, tx_hash="HASH"):
    report = Report(tx_hash, "us.near", "ed25519:K", 7, "usdc.near", "B", receipts, "00")
    return take(report, "https://user.example:8443/v1?key=secret")


PAID = receipt(event(PLAN[0]), event(PLAN[1]))
REFUND = receipt(executor="us.near")


@pytest.mark.parametrize(
    ("receipts", "match"),
    [
        ([PAID, REFUND], Match.ALL),
        ([receipt(event(*PLAN))], Match.ALL),
        ([receipt(event(PLAN[1])), receipt(event(PLAN[0]))], Match.ALL),
        ([receipt(event(*PLAN, PLAN[0]))], Match.OTHER),
        ([receipt(event(PLAN[0]))], Match.OTHER),
        ([receipt(event(PLAN[0], ("mallory.near", 3)))], Match.OTHER),
        ([receipt(event(PLAN[0], ("grace.near", 4)))], Match.OTHER),
        ([receipt(event(*PLAN, memo="pay-2"))], Match.OTHER),
        ([receipt(event(*PLAN), executor="fake.near")], Match.OTHER),
        ([receipt(event(*PLAN, sender="other.near"))], Match.OTHER),
        ([receipt(event(*PLAN, event="ft_mint"))], Match.OTHER),
        ([receipt("EVENT_JSON:{")], Match.OTHER),
        ([receipt(event(*PLAN), ok=False), REFUND], Match.NONE),
        ([REFUND], Match.NONE),
    ],
)
def test_only_the_planned_transfers_of_the_token_itself_are_the_plan(receipts, match):
    assert compare(EXPECTED, evidence(*receipts)) is match


def test_the_plain_words_of_older_tokens_count_where_no_event_stands_beside_them():
    words = [
        line for to, n in PLAN for line in (f"Transfer {n} from us.near to {to}", "Memo: pay-1")
    ]
    assert compare(EXPECTED, evidence(receipt("Deposit 10 NEAR to us.near", *words))) is Match.ALL
    assert compare(EXPECTED, evidence(receipt(*words, event(PLAN[0])))) is Match.OTHER
    without_memo = [line for line in words if not line.startswith("Memo")]
    assert compare(EXPECTED, evidence(receipt(*without_memo))) is Match.OTHER


def test_evidence_comes_back_from_the_disk_as_it_was_and_names_no_secret():
    before = evidence(PAID, REFUND)
    assert from_json(json.loads(json.dumps(to_json(before)))) == before
    assert before.providers == ("https://user.example:8443",)
    assert provider_name("http://[::1]:3030/~phala") == "http://::1:3030"


def attempt(state, tx_hash="HASH"):
    return Attempt(
        tx_hash, "pay-1", 1, "ft_transfer", "", 7, "usdc.near", "B", 1, b"", state, "why", 0.0
    )


@pytest.mark.parametrize(
    ("states", "seen", "expected"),
    [
        ([], {}, PaymentState.FAILED),
        ([State.LANDED], {"0": [PAID]}, PaymentState.PAID),
        ([State.LANDED], {}, PaymentState.UNKNOWN),
        ([State.LANDED], {"0": [REFUND]}, PaymentState.REVIEW),
        ([State.LANDED], {"0": [receipt(event(PLAN[0]))]}, PaymentState.REVIEW),
        ([State.REVERTED], {"0": [receipt(ok=False), REFUND]}, PaymentState.FAILED),
        ([State.REVERTED], {"0": [PAID, receipt(ok=False)]}, PaymentState.REVIEW),
        ([State.REVERTED], {"0": [receipt(event(PLAN[0]))]}, PaymentState.REVIEW),
        ([State.DEAD], {}, PaymentState.FAILED),
        ([State.REFUSED], {}, PaymentState.FAILED),
        ([State.SENT], {}, PaymentState.UNKNOWN),
        ([State.UNKNOWN], {"0": [PAID]}, PaymentState.UNKNOWN),
        ([State.DEAD, State.LANDED], {"1": [PAID]}, PaymentState.PAID),
        ([State.DEAD, State.UNKNOWN], {}, PaymentState.UNKNOWN),
        ([State.UNKNOWN, State.LANDED], {"1": [PAID]}, PaymentState.UNKNOWN),
        ([State.LANDED, State.LANDED], {"0": [PAID], "1": [PAID]}, PaymentState.REVIEW),
    ],
)
def test_a_payment_is_what_its_attempts_and_their_evidence_say(states, seen, expected):
    attempts = [attempt(state, str(n)) for n, state in enumerate(states)]
    told = {name: evidence(*receipts, tx_hash=name) for name, receipts in seen.items()}
    assert settle("pay-1", [LEG], attempts, told).state is expected


async def test_a_paid_payment_has_its_evidence_on_disk(plane, rails):
    answer = await plane.process("pay 10 USDC to acme/widgets", key="k1")
    payment = plane.service.payer._payments.get(answer.json()["paymentId"])
    found = plane.service.payer._transactions.evidence(payment.tx_hash)
    assert isinstance(found, Evidence)
    (record,) = rails.transactions(genesis.USDC)
    assert (found.report.tx_hash, found.block_height) == (record["hash"], record["height"])
    assert {(one.receiver, one.units) for one in found.moved} == {
        (share.account, share.units) for share in payment.plan.paid
    }
    assert {one.memo for one in found.moved} == {payment.id}
    assert found.report.public_key == record["public_key"]


async def test_a_success_that_moved_something_else_is_for_a_person_and_never_tried_again(
    plane, rails, monkeypatch
):
    """A token that tells of other transfers than those that were signed."""
    token = rails.world.chain.contracts[genesis.USDC]
    real = type(token)._transfer
    shorted = staticmethod(lambda context, args: real(context, {**args, "amount": "1"}))
    monkeypatch.setattr(type(token), "_transfer", shorted)
    text = await plane.say("pay 10 USDC to acme/widgets", key="k1")
    assert text.startswith("❌ Payment needs a person: what moved on chain is not what was planned")
    assert "money has moved, do not retry" in text
    assert "Transaction:" not in text
    count = len(rails.transactions())
    assert await plane.say("pay 10 USDC to acme/widgets", key="k1") == text
    assert plane.service.payer.adopt_all() == []
    assert plane.service.payer._limits.spent("USDC") == 10_000_000
    (payment_id,) = re.findall(r"pay-[0-9a-f]{24}", text)
    again = await plane.service.payer.retry(payment_id)
    assert again.text == without_receipt(text)
    assert len(rails.transactions()) == count


def without_receipt(text):
    """What a payment says of itself; a link to a receipt belongs to the answer."""
    return "\n".join(line for line in text.split("\n") if "Receipt: " not in line)


OLD_TABLES = """
CREATE TABLE transactions (
  tx_hash TEXT PRIMARY KEY, owner TEXT NOT NULL, purpose TEXT NOT NULL,
  signer TEXT NOT NULL, public_key TEXT NOT NULL, nonce INTEGER NOT NULL,
  block_hash TEXT NOT NULL, block_height INTEGER NOT NULL, signed_bytes BLOB NOT NULL,
  state TEXT NOT NULL, detail TEXT NOT NULL DEFAULT '', included_in TEXT NOT NULL DEFAULT '',
  created_at REAL NOT NULL, updated_at REAL NOT NULL, UNIQUE (public_key, nonce)
);
CREATE INDEX transactions_owner ON transactions (owner);
CREATE INDEX transactions_state ON transactions (state);
CREATE TABLE payments (
  id TEXT PRIMARY KEY, repo TEXT NOT NULL, token TEXT NOT NULL, units TEXT NOT NULL,
  author TEXT NOT NULL, plan TEXT NOT NULL, state TEXT NOT NULL, tx_hash TEXT NOT NULL DEFAULT '',
  detail TEXT NOT NULL DEFAULT '', created_at REAL NOT NULL, updated_at REAL NOT NULL
);
CREATE INDEX payments_state ON payments (state, repo, token);
"""
COPY = {
    "transactions": "tx_hash, owner, purpose, signer, public_key, nonce, block_hash, block_height,"
    " signed_bytes, state, detail, included_in, created_at, updated_at",
    "payments": "id, repo, token, units, author, plan, state, tx_hash, detail, created_at,"
    " updated_at",
}


def as_before(new, old):
    """Turn a ledger of this build into one of the build before evidence was kept."""
    with sqlite3.connect(old) as db:
        db.executescript(OLD_TABLES)
        db.execute("ATTACH ? AS made", (str(new),))
        for table, columns in COPY.items():
            copy = f"INSERT INTO {table} ({columns}) SELECT {columns} FROM made.{table}"  # noqa: S608 - constants
            db.execute(copy)
        db.execute("UPDATE payments SET state='planned', tx_hash='' WHERE id LIKE 'pay-%'")
    db.close()


async def test_a_ledger_of_the_build_before_is_brought_up_and_its_open_payment_gets_evidence(
    rails, run_plane, tmp_path
):
    async with run_plane(rails.environ) as plane:
        first = await plane.say("pay 10 USDC to acme/widgets", key="k1")
    assert first.startswith("✅")
    as_before(rails.environ["PAYMENTS_DB"], tmp_path / "old.db")
    async with run_plane({**rails.environ, "PAYMENTS_DB": str(tmp_path / "old.db")}) as plane:
        again = await plane.say("pay 10 USDC to acme/widgets", key="k1")
        assert without_receipt(again) == without_receipt(first)
        (leg,) = plane.service.payer._payments.legs(
            plane.service.payer._payments.get("pay-" + first.split("pay-")[1][:24]).id
        )
        assert (leg.contract, sum(units for _, units in leg.transfers)) == (genesis.USDC, 10**7)
    assert len(rails.transactions(genesis.USDC)) == 1


def test_a_ledger_of_a_newer_build_is_refused(tmp_path):
    path = tmp_path / "payments.db"
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version=99")
    db.close()
    with pytest.raises(sqlite3.DatabaseError, match="a newer build made it"):
        open_store(str(path))


def test_moved_names_the_contract_that_told():
    assert evidence(PAID).moved[0] == Moved("usdc.near", "us.near", "ada.near", 7, "pay-1")
