"""Handing the ledger over: whole or not at all, and what was open is paid once or not at all."""

import sqlite3
from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.signing import SigningKey

from agent_runtime import main
from agent_runtime.command import run
from agent_runtime.handover import document, export, merge, tables
from agent_runtime.handover import fence as handover_fence
from agent_runtime.handover.bonds import Bonds
from agent_runtime.handover.errors import HandoverRefusal
from agent_runtime.migrations import VERSION
from agent_runtime.near.keys import Key
from agent_runtime.near.ledger import TransactionLedger
from agent_runtime.near.rpc import Rpc
from agent_runtime.store import open_store

KEYS = ("ed25519:old", "ed25519:new")
ORIGIN = export.Origin("hetzner", "r1", "testnet", "us.near", KEYS[0])
HOME = merge.Home("testnet", "us.near", KEYS[1])
PAYMENT = "INSERT INTO payments VALUES (?,'r','USDC','1','a','{}',?,'','',1.5,2.5,'','near')"
SIGNED = (
    "INSERT INTO transactions VALUES ('H','pay-1',1,'m','','us.near','ed25519:older',7,'r','B',1,"
    "x'00ff','signed','','',1.0,1.0)"
)


def ledger(path, *states):
    """A ledger with a payment in each of these states, the first of them signed."""
    db = open_store(str(path))
    tables.make_tables(db)
    with db:
        for number, state in enumerate(states, 1):
            db.execute(PAYMENT, (f"pay-{number}", state))
        if states:
            db.execute(SIGNED)
    return db


def handed_over(path, *states):
    ledger(path, *states).close()
    return export.hand_over(str(path), ORIGIN)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The export of a ledger with payments in these states; each is written once."""
    return cache(lambda *states: handed_over(tmp_path_factory.mktemp("o") / "a.db", *states))


def content(db):
    return list(db.iterdump())


@pytest.fixture
def here():
    db = sqlite3.connect(":memory:")
    tables.make_tables(db)
    yield db
    db.close()


STATES = ("unknown", "planned", "failed", "declined", "paid", "review")


def test_what_is_read_back_is_what_was_written_and_every_row_arrives(exported, here):
    given_over = exported(*STATES)
    assert document.decode(document.encode(given_over)) == given_over
    taken = merge.take(here, given_over, "d", HOME)
    assert taken.added == {"payments": 6, "transactions": 1}
    assert (taken.bound, taken.open) == (4, 2)
    told = here.execute("SELECT signed_bytes, state FROM transactions").fetchall()
    assert told == [(b"\x00\xff", "unknown")]  # only the chain ends what another plane signed


def test_taking_the_same_export_again_changes_nothing_even_after_its_rows_have_moved_on(
    exported, here
):
    given_over = exported(*STATES)
    merge.take(here, given_over, "d", HOME)
    with here:
        here.execute("UPDATE payments SET state='paid' WHERE id='pay-1'")
    before = content(here)
    assert merge.take(here, given_over, "d", HOME).again
    assert content(here) == before


@pytest.mark.parametrize(
    ("made", "named"),
    [
        (PAYMENT.replace("'1'", "'2'"), "payments pay-1 (units)"),
        (SIGNED.replace("'H'", "'I'"), "transactions H (UNIQUE constraint failed"),
        (SIGNED.replace("x'00ff'", "x'00fe'"), "transactions H (signed_bytes, state, detail)"),
    ],
    ids=("payment", "nonce", "bytes"),
)
def test_a_conflict_is_named_and_nothing_is_taken(exported, here, made, named):
    with here:
        here.execute(made, ("pay-1", "unknown") if "payments" in made else ())
    before = content(here)
    with pytest.raises(HandoverRefusal) as refused:
        merge.take(here, exported("unknown", "paid"), "d", HOME)
    assert named in str(refused.value)
    assert content(here) == before


@pytest.mark.parametrize(
    ("table", "ours", "theirs", "kept"),
    [
        ("requests", ("k", "f", None, 1.0), ("k", "f", "{}", 2.0), ("k", "f", "{}", 1.0)),
        ("requests", ("k", "f", "{}", 1.0), ("k", "f", None, 2.0), ("k", "f", "{}", 1.0)),
        ("requests", ("k", "f", "[]", 1.0), ("k", "f", "{}", 1.0), None),
        ("requests", ("k", "f", None, 1.0), ("k", "g", None, 1.0), None),
        ("modes", ("c", "a", "x", "y", 1.0), ("c", "a", "z", "y", 2.0), ("c", "a", "z", "y", 2.0)),
        ("modes", ("c", "a", "x", "y", 2.0), ("c", "a", "z", "y", 1.0), ("c", "a", "x", "y", 2.0)),
        ("people", ("Ada", 1, "w", 1.0), ("ada", 1, "v", 2.0), ("Ada", 1, "v", 2.0)),
        ("people", ("Ada", 1, "w", 1.0), ("ada", 2, "w", 2.0), None),
        ("webhook_events", ("e", "t", 1.0), ("e", "t", 2.0), ("e", "t", 1.0)),
    ],
)
def test_what_both_planes_remember_of_one_name_is_joined_or_refused(
    exported, here, table, ours, theirs, kept
):
    given_over = replace(exported(), rows={table: [theirs]})
    with here:
        here.execute(f"INSERT INTO {table} VALUES ({','.join('?' * len(ours))})", ours)  # noqa: S608 - names of this file
    if kept is None:
        with pytest.raises(HandoverRefusal, match=f"{table} "):
            merge.take(here, given_over, "d", HOME)
    else:
        assert merge.take(here, given_over, "d", HOME).added == {}
    assert here.execute(f"SELECT * FROM {table}").fetchall() == [kept or ours]  # noqa: S608 - the same


@pytest.mark.parametrize(
    ("about", "said"),
    [
        ({"account": "other.near"}, "NEAR_ACCOUNT_ID other.near"),
        ({"network": "mainnet"}, "NEAR_NETWORK_ID mainnet"),
        ({"schema": VERSION + 1}, f"version {VERSION + 1}"),
        ({"public_key": KEYS[1]}, "both planes sign with"),
    ],
)
def test_an_export_that_is_not_for_this_plane_is_refused(exported, here, about, said):
    given_over = exported("unknown", "paid")
    with pytest.raises(HandoverRefusal, match=said):
        merge.take(here, replace(given_over, about=replace(given_over.about, **about)), "d", HOME)
    assert here.execute("SELECT COUNT(*) FROM payments").fetchone() == (0,)


@pytest.fixture(scope="module")
def written(exported):
    return document.encode(exported("unknown", "paid"))


def test_a_file_that_is_there_already_is_left_as_it_is(exported, tmp_path):
    """Also if it came into being after the command looked."""
    (tmp_path / "file").write_text("mine")
    with pytest.raises(HandoverRefusal, match="is there already"):
        export.write(exported("unknown", "paid"), tmp_path / "file")
    assert [one.read_text() for one in tmp_path.iterdir()] == ["mine"]


@given(st.data())
def test_an_export_with_any_byte_changed_cut_or_added_is_refused(written, data):
    at = data.draw(st.integers(0, len(written) - 1))
    other = data.draw(st.integers(1, 255))
    changed = written[:at] + bytes([written[at] ^ other]) + written[at + 1 :]
    for tampered in (changed, written[:at], written + bytes([other])):
        with pytest.raises(HandoverRefusal):
            document.decode(tampered)


ABOUT = (
    b'{"about":{"schema":1,"plane":"p","build":"b","network":"n","account":"a","public_key":"k",'
    b'"sealed":true,"exported_at":1.0},"tables":{"requests":[["k","f",null,%s]]}}'
)
WIDE = ABOUT % str(2**63).encode()


def test_a_whole_file_of_the_right_shape_is_read():
    body = ABOUT % b"1.0"
    rows = document.decode(document._header(body) + body).rows
    assert rows == {"requests": [("k", "f", None, 1.0)]}


@pytest.mark.parametrize("body", [b"{}", b"[]", b"no", b'{"about":{},"tables":{}}', WIDE])
def test_a_whole_file_of_another_shape_is_refused(body):
    with pytest.raises(HandoverRefusal, match="another shape"):
        document.decode(document._header(body) + body)


def test_a_sealed_ledger_plans_and_signs_nothing_and_gives_the_same_export_again(tmp_path):
    path = tmp_path / "a.db"
    first = handed_over(path, "unknown")
    with pytest.raises(OSError, match="handed over to another plane"):
        open_store(str(path))
    with sqlite3.connect(path) as older_build, pytest.raises(sqlite3.IntegrityError, match="seal"):
        older_build.execute(PAYMENT, ("pay-9", "planned"))
    assert export.hand_over(str(path), ORIGIN) == first


@pytest.mark.parametrize(
    ("argv", "said"), [(["serve"], "it was handed over"), ([], "it was handed"), (["key"], "VERB")]
)
def test_the_program_serves_nothing_from_a_sealed_ledger_and_carries_commands_out(
    tmp_path, monkeypatch, capsys, argv, said
):
    handed_over(tmp_path / "a.db", "unknown")
    monkeypatch.setenv("PAYMENTS_DB", str(tmp_path / "a.db"))
    monkeypatch.setattr(main, "configure", lambda: None)  # the session's logs stay as they are
    monkeypatch.setattr("sys.argv", ["agent-runtime", *argv])
    with pytest.raises(SystemExit) as left:
        main.main()
    assert left.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("argv", [[], ["ledger"], ["ledger", "import"], ["key", "fence"], ["fund"]])
def test_every_command_explains_itself(capsys, argv):
    assert run([*argv, "--help"], {}) == 0
    assert f"usage: agent-runtime {' '.join(argv)}" in capsys.readouterr().out
    assert run([*argv, "--no-such-thing"], {}) == 2


@pytest.mark.parametrize("releases", [True, False])
def test_a_payment_is_free_once_every_key_that_could_sign_it_is_fenced(exported, here, releases):
    merge.take(here, exported("unknown", "failed", "paid"), "d", HOME)
    bonds = Bonds(here)
    assert "key ed25519:old is not fenced" in bonds.holder("pay-2")
    assert bonds.holder("pay-3") == bonds.holder("pay-other") == ""
    bonds.record(KEYS[0], "us.near", {"tx_hash": "T"}, releases=releases)
    assert bool(bonds.holder("pay-2")) is not releases
    assert "ed25519:older is not fenced" in bonds.holder("pay-1") or not releases
    assert bonds.holder("pay-1")


@pytest.mark.parametrize(("before", "imported", "free"), [(7, 1, 1), (8, 1, 0), (7, 0, 0)])
async def test_a_key_fenced_before_its_ledger_was_known_frees_what_that_ledger_covers(
    exported, here, before, imported, free
):
    own, other = (
        Key(bytes(key.verify_key), key) for key in map(SigningKey, (b"1" * 32, b"2" * 32))
    )
    bonds, name = Bonds(here), other.text
    bonds.record(
        name, "us.near", {"tx_hash": "T", "nonce_before": before, "releases": False}, releases=False
    )
    if imported:
        given_over = exported("unknown", "failed")
        about = replace(given_over.about, public_key=name)
        merge.take(here, replace(given_over, about=about), "d", HOME)
    with here:
        if not imported:
            here.execute(SIGNED)
        here.execute("UPDATE transactions SET public_key=?", (name,))
    rpc = Rpc(None, ("first", "second"))
    fence = handover_fence.KeyFence(rpc, TransactionLedger(here), bonds, "us.near", own)
    assert ("free" in (await fence.rehearse(name, unseen_too=False))["would"]) is bool(free)
    assert (await fence.fence(name, unseen_too=False))["releases"] is bool(free)
    assert bool(bonds.holder("pay-2")) is bool(imported and not free)
