"""State does not grow with running time: what is forgotten, what never is (design §7.12)."""

import sqlite3
import time
from types import SimpleNamespace

import pytest

from agent_runtime import housekeeping, modes
from agent_runtime.errors import Refusal
from agent_runtime.handover.tables import make_tables
from agent_runtime.housekeeping import KEPT, Housekeeper, Rule
from agent_runtime.modes import Caller, Execution, Modes
from agent_runtime.rails import pause
from agent_runtime.requests import payment_id_for

pytestmark = pytest.mark.asyncio(loop_scope="module")

PAY = "pay 10 USDC to acme/widgets"
DAY = 86_400
ROWS = {
    "requests": "(key, fingerprint, answer, created_at) VALUES (:id, 'p', '{{}}', :at)",
    "plans": "VALUES (:id, 'web', 'a', 'pay', 'c', '{{}}', '{state}', :at, :at)",
    "proofs": "VALUES ('web', :id, 1, 'w', 'code', :at)",
    "webhook_events": "VALUES (:id, 'github', :at)",
    "casts": "VALUES (:id, 1, 't', '{state}', '', 0, 0, :at, :at)",
}


@pytest.fixture
def store():
    db = sqlite3.connect(":memory:")
    make_tables(db)
    yield db
    db.close()


def put(db, table, state, **ages):
    """Rows by their names, so many days old."""
    for name, days in ages.items():
        at = time.time() - days * DAY
        values = ROWS[table].format(state=state)
        db.execute(f"INSERT INTO {table} {values}", {"id": name, "at": at})
    db.commit()


def names(db, table):
    column = {"proofs": "author", "casts": "hash", "requests": "key"}.get(table, "id")
    return {row[0] for row in db.execute(f"SELECT {column} FROM {table}")}  # noqa: S608 - names of this file


def tables_of(db):
    found = db.execute("SELECT name FROM sqlite_master WHERE type='table'")
    return {row[0] for row in found if not row[0].startswith("sqlite_")}


async def test_every_table_is_swept_or_kept_for_a_reason(bare, store):
    tables = tables_of(bare.service.db) | tables_of(store) | {"handover_seal"}
    swept = {rule.table for rule in bare.service.housekeeper.rules}
    kept = set(" ".join(KEPT).split())
    assert swept | kept == tables
    assert not swept & kept


@pytest.mark.parametrize(
    ("table", "state", "ages", "left"),
    [
        ("requests", "", {"old": 7.1, "young": 6.9}, {"young"}),
        ("plans", "waiting", {"old": 1.1, "young": 0.9}, {"young"}),
        ("plans", "done", {"old": 30.1, "young": 29.9}, {"young"}),
        ("plans", "begun", {"old": 30.1, "young": 29.9}, {"young"}),
        ("proofs", "", {"old": 0.1, "young": -0.1}, {"young"}),
        ("webhook_events", "", {"old": 30.1, "young": 29.9}, {"young"}),
        ("casts", "replied", {"old": 30.1, "young": 29.9}, {"young"}),
        ("casts", "open", {"old": 99, "young": 0}, {"old", "young"}),
    ],
)
async def test_what_is_old_enough_is_forgotten(store, table, state, ages, left):
    put(store, table, state, **ages)
    assert await Housekeeper(store, 7).sweep() == len(ages) - len(left)
    assert names(store, table) == left


async def test_of_too_many_rows_the_newest_are_left_however_young_they_are(store, monkeypatch):
    monkeypatch.setattr(housekeeping, "SLICE_ROWS", 3)
    few = [
        Rule(rule.table, rule.column, rule.seconds, 5, rule.only)
        for rule in Housekeeper(store, 7).rules
    ]
    keeper = Housekeeper(store, 7)
    keeper.rules = tuple(few)
    for table in ROWS:
        put(store, table, "done" if table == "plans" else "replied")
        put(store, table, "waiting", **{f"n{n}": -0.5 for n in range(20)})
    await keeper.sweep()
    newest = {f"n{n}" for n in range(15, 20)}
    for table in ROWS:
        assert names(store, table) == newest, table


async def test_a_request_that_is_being_answered_is_never_surplus(store):
    keeper = Housekeeper(store, 7)
    keeper.rules = (Rule("requests", "created_at", 7 * DAY, 0, housekeeping.WITHOUT_PAYMENT),)
    put(store, "requests", "", young=0, old=8)
    store.execute("UPDATE requests SET answer=NULL")
    await keeper.sweep()
    assert names(store, "requests") == {"young"}


async def test_a_key_that_approved_a_payment_is_kept_like_one_that_made_it(store):
    put(store, "requests", "", approved=99, told=99)
    answer = '{"payment_id": "plan-0123456789"}'
    store.execute("UPDATE requests SET answer=? WHERE key='approved'", [answer])
    await Housekeeper(store, 7).sweep()
    assert names(store, "requests") == {"approved"}


async def test_a_clock_that_jumps_ahead_makes_nothing_old(store, monkeypatch):
    keeper = Housekeeper(store, 7)
    put(store, "requests", "", young=1)
    ahead = SimpleNamespace(time=lambda: time.time() + 365 * DAY, monotonic=time.monotonic)
    monkeypatch.setattr(housekeeping, "time", ahead)
    assert await keeper.sweep() == 0


async def test_a_key_that_made_a_payment_finds_it_for_ever_and_pays_once(
    plane_shared, rails_shared
):
    db, keeper = plane_shared.service.db, plane_shared.service.housekeeper
    first = await plane_shared.say(PAY, key="h1")
    await plane_shared.say("help", key="h2")
    sent = len(rails_shared.transactions())
    with db:
        db.execute("UPDATE requests SET created_at=0")
    assert await keeper.sweep() == 1
    assert await plane_shared.say(PAY, key="h1") == first
    assert (await plane_shared.process("analyze a/b", key="h1")).status_code == 409
    assert (await plane_shared.process("mode draft", key="h2")).status_code == 200
    with db:  # even if the row were lost, as after a hand-over of an older build
        db.execute("DELETE FROM requests WHERE key='h1'")
    again = (await plane_shared.process(PAY, key="h1")).json()
    assert (again["response"], again["paymentId"]) == (first, payment_id_for("h1"))
    assert len(rails_shared.transactions()) == sent


async def test_so_many_authors_may_choose_a_mode_and_no_choice_is_lost(store, monkeypatch):
    monkeypatch.setattr(modes, "AUTHORS_MAX", 2)
    book = Modes(store, Execution.EXECUTE)
    for name in "ab":
        book.choose(Caller("web", name), Execution.DRAFT)
    with pytest.raises(Refusal, match="too many authors"):
        book.choose(Caller("web", "c"), Execution.DRAFT)
    book.choose(Caller("web", "a"), Execution.ADVISOR)
    chosen = [book.execution(Caller("web", name)) for name in "abc"]
    assert chosen == [Execution.ADVISOR, Execution.DRAFT, Execution.EXECUTE]


async def test_pauses_that_are_over_are_forgotten(monkeypatch):
    now = 0.0
    monkeypatch.setattr(pause, "KNOWN_MAX", 3)
    monkeypatch.setattr(pause, "time", SimpleNamespace(monotonic=lambda: now))
    pauses = pause.Pauses("github")
    for n in range(9):
        now = n * 10_000.0
        pauses._hold(f"installation {n}", 60.0)
        pauses._strikes[f"installation {n}"] = 1
    assert len(pauses._until) <= 3
    assert len(pauses._strikes) <= 3
