"""The gateway's judgements that need no socket."""

import asyncio
import json
import resource
import socket
import string
from dataclasses import replace
from threading import Timer

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cutover.clock import SystemClock
from cutover.errors import ConfigurationError
from cutover.evidence.outcome import Outcome
from cutover.evidence.wire import REPORT_BYTES_MAX, NodeReport
from cutover.gateway import page as page_module
from cutover.gateway.adoption import Adopt, Ignore, Refuse, judge, raises
from cutover.gateway.asked import UnreadableError, read_agent, read_process
from cutover.gateway.board import Board
from cutover.gateway.config import Limits, address_of, from_json, to_json
from cutover.gateway.crew import Crew
from cutover.gateway.descriptors import fitting
from cutover.gateway.heads import HEAD_BYTES_MAX, HEADS_MAX, Heads
from cutover.gateway.listen import listen
from cutover.gateway.message import Answer, Request
from cutover.gateway.outcomes import outcome_of
from cutover.gateway.page import INTENTS, OUTCOMES, SLOTS, Page, cell_of
from cutover.gateway.standing import Standing
from cutover.gateway.store import Store
from cutover.gateway.tally import Tally
from cutover.gateway.totals import GENERATIONS_KEPT, Totals
from cutover.routing.pick import bucket_of, pick
from cutover.routing.table import Route, RoutingTable
from cutover.runbook.intent import Intent
from gateway.doubles import NEAR_HASH, PAID, Plane, config, table

PLANES = ("hetzner", "phala")


def said(text):
    return json.dumps({"response": text}).encode()


@given(
    share=st.integers(0, 10_000), salt=st.text(string.printable, max_size=8),
    key=st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    intent=st.sampled_from(list(Intent)),
)  # fmt: skip
def test_a_worker_chooses_the_plane_that_pick_chooses(share, salt, key, intent):
    routes = {i: Route(share if i is intent else 0) for i in Intent}
    made = RoutingTable(1, 1, "r", salt, "hetzner", "phala", "hetzner", "s", routes)
    way, bucket = Standing(1, made, {name: name for name in PLANES}).choose(intent, key)
    assert way.plane == pick(made, intent, key)
    assert bucket == (bucket_of(salt, key) if key else -1)


@pytest.mark.parametrize(
    ("intent", "status", "body", "outcome"),
    [
        (Intent.ANALYZE, 200, said("📊 Analysis for x"), Outcome.OK),
        (Intent.ANALYZE, 200, said("❌ Analysis failed for x"), Outcome.BUSINESS_FAILED),
        (Intent.ANALYZE, 200, said("❌ Analysis outcome unknown: z"), Outcome.TIMEOUT_UNKNOWN),
        (Intent.ANALYZE, 200, said("❌ No\noutcome unknown"), Outcome.BUSINESS_FAILED),
        (Intent.ANALYZE, 200, said("📊 An outcome unknown to us"), Outcome.OK),
        (Intent.CREATE, 200, said("❌ Failed to create split: no"), Outcome.BUSINESS_FAILED),
        (Intent.PAY, 200, said("❌ Payment failed: no"), Outcome.BUSINESS_FAILED),
        (Intent.PAY, 200, said("No split found for x"), Outcome.DECLINED),
        (Intent.PAY, 200, said("❌ No payout-eligible contributors"), Outcome.DECLINED),
        (Intent.PAY, 200, said("❌ Strict mode enabled: no"), Outcome.DECLINED),
        (Intent.PAY, 200, said("🛑 Policy blocked pay: limit"), Outcome.DECLINED),
        (Intent.PAY, 200, said("🛑 Safety review required before payout: X"), Outcome.DECLINED),
        (Intent.UNKNOWN, 200, said("I didn't understand that. Try: x"), Outcome.DECLINED),
        (Intent.PAY, 200, said("❌ Payment failed: outcome unknown"), Outcome.TIMEOUT_UNKNOWN),
        (
            Intent.PAY,
            200,
            said("⏳ The outcome of this payment is unknown"),
            Outcome.TIMEOUT_UNKNOWN,
        ),
        (Intent.REPUTATION, 200, said("🏅 Reputation\nKind: unknown"), Outcome.OK),
        (Intent.PAY, 200, said('📝 Plan\n{"id": "plan-0123456789"}'), Outcome.DECLINED),
        (Intent.PAY, 200, said(PAID), Outcome.OK),
        (Intent.PLAN, 200, said(PAID), Outcome.OK),
        (Intent.PLAN, 200, said("✅ Distributed 1 USDC\n🔗 Transaction: 0x"), Outcome.UNKNOWN),
        (Intent.PAY, 200, said("✅ done\n🔗 Transaction: 0x" + "a" * 64), Outcome.OK),
        (Intent.PAY, 200, said("✅ done\n🔗 Transaction: 0x" + "0" * 64), Outcome.UNKNOWN),
        (Intent.PAY, 200, said("✅ Distributed\n🔗 Transaction: intent-1a2b3c4d"), Outcome.UNKNOWN),
        (Intent.PAY, 200, said("✅ Distributed\n🔗 Transaction: " + "z" * 44), Outcome.UNKNOWN),
        (Intent.PAY, 200, said("✅ Distributed\n🔗 Transaction: 0xabc123"), Outcome.UNKNOWN),
        (Intent.PAY, 200, said("✅ Distributed 1 USDC"), Outcome.UNKNOWN),
        (Intent.ANALYZE, 200, said(""), Outcome.UNKNOWN),
        (Intent.ANALYZE, 200, b"<html>", Outcome.UNKNOWN),
        (Intent.ANALYZE, 200, b'{"response": 3}', Outcome.UNKNOWN),
        (Intent.ANALYZE, 200, b'{"response": "\xff"}', Outcome.UNKNOWN),
        (Intent.ANALYZE, 302, said("elsewhere"), Outcome.UNKNOWN),
        (Intent.ANALYZE, 401, said("x"), Outcome.CLIENT_ERROR),
        (Intent.PAY, 503, said(PAID), Outcome.SERVER_ERROR),
    ],
)
def test_an_answer_is_judged_by_what_it_says(intent, status, body, outcome):
    assert outcome_of(intent, status, body) is outcome


@given(st.binary(max_size=200), st.sampled_from(list(Intent)), st.integers(100, 599))
def test_no_answer_whatsoever_breaks_the_classification(body, intent, status):
    assert isinstance(outcome_of(intent, status, body), Outcome)


@given(st.text(max_size=80))
def test_a_pay_answer_without_a_real_reference_is_never_ok(text):
    assert outcome_of(Intent.PAY, 200, said(text)) is not Outcome.OK


def test_the_reference_of_the_tests_is_a_real_one():
    assert len(NEAR_HASH) == 44


@pytest.mark.parametrize(
    "body",
    [
        b'{"text":"analyze a/b","text":"pay 1 USDC to a/b"}',
        b'{"text":"analyze a/b","te\\u0078t":"pay 1 USDC to a/b"}',
        b'{"\\u0074ext":"analyze a/b","te\\u0078t":"pay 1 USDC to a/b"}',
        b'{"text":"a","author":"1","author":"2"}',
        b'{"text":"a","\\u0061uthor":"1","author":"2"}',
        b'{"text":3}', b'{"author":"x"}', b'["text"]', b'"text"', b"", b"{", b"nonsense",
        b'{"text":"a"} {"text":"b"}', b'{"text":"\xff"}', b'{"text":"a","author":7}',
        b'{"text":"a","x":' + b"[" * 5000 + b"]" * 5000 + b"}",
        b'{"text":"a\\n","x":' + b"[" * 900 + b"]" * 900 + b"}" * 2,
    ],
)  # fmt: skip
def test_an_ambiguous_or_malformed_body_is_refused(body):
    with pytest.raises(UnreadableError):
        read_process(body)
    if b"text" in body and b"author" not in body:
        with pytest.raises(UnreadableError):
            read_agent(body)


@given(st.dictionaries(st.sampled_from(["text", "author", "type", 'a"text"', "x\\"]), st.text()))
def test_a_plain_body_reads_as_any_parser_reads_it(found):
    body = json.dumps({"text": "t", **found}).encode()
    try:
        read = read_process(body)
    except UnreadableError:
        # only lone surrogates, which are no text, may be refused
        assert any(0xD800 <= ord(c) < 0xE000 for v in found.values() for c in v)
        return
    assert (read.text, read.author) == ((w := json.loads(body))["text"], w.get("author"))


@pytest.mark.parametrize(
    ("in_force", "offered", "verdict"),
    [
        (None, table(5, term=3), Adopt),
        (table(2), table(3), Adopt),
        (table(2), table(2), Ignore),
        (table(2), table(2, share=5), Refuse),
        (table(2), table(1), Refuse),
        (table(2, term=4), table(3, term=3), Refuse),
        (table(2), table(2, term=2), Adopt),
        (table(2), table(2, share=7, term=2), Adopt),
        (table(2), table(1, term=2), Refuse),
        (table(2), table(1, term=2, run="run-2"), Adopt),
        (table(2, share=1), table(9, term=2, run="run-2"), Refuse),
        (table(2, active="phala"), table(9, term=2, run="run-2"), Refuse),
        (table(2, term=3), table(9, term=2, run="run-2"), Adopt),
        (table(9, term=3), table(1, term=1, run="run-2"), Adopt),
        (table(2, term=3, share=1), table(9, term=9, run="run-2"), Refuse),
        (table(2), msgspec.structs.replace(table(3), candidate="aws"), Refuse),
        (table(2), msgspec.structs.replace(table(3), routes={}), Refuse),
        (table(2), table(0), Refuse),
    ],
)
def test_which_tables_a_node_puts_in_force(in_force, offered, verdict):
    assert isinstance(judge(in_force, offered, PLANES), verdict)


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        (None, table(1), True),
        (table(1), table(2), False),
        (table(1, share=5), table(2, share=4, pay=0), False),
        (table(1, share=5), table(2, share=4, pay=1), True),
        (table(1), table(2, active="phala"), True),
        (table(1, active="phala"), table(2), False),
        (table(1), msgspec.structs.replace(table(2), fallback="phala", candidate="hetzner"), True),
        (table(1), table(2, leased=False), True),
        (table(1, leased=False), table(2, leased=False), False),
        (table(1, leased=False), table(2), False),
        (table(1, spki=""), table(2, spki="a" * 64), True),
        (table(1, spki=""), table(2), True),
        (table(1, spki="a" * 64), table(2), True),
        (table(1, spki="a" * 64), table(2, spki="b" * 64), False),
        (table(1, spki="a" * 64), table(2, spki=""), False),
        (table(1), table(2, spki="a" * 64), False),
        (table(1, spki=""), table(2, spki=""), False),
    ],
)
def test_which_tables_raise_a_share(before, after, verdict):
    assert raises(before, after) is verdict


def test_a_person_may_let_exactly_the_named_run_be_replaced():
    """Whatever its numbers are; within the run, and for other runs, nothing is different."""
    in_force = table(9, term=5, share=100)
    other = table(1, term=1, run="run-2")
    assert judge(in_force, other, PLANES, accept_run="run-1") == Adopt(fresh_run=True)
    for accepted in ("", "run-2", "run-3"):
        refused = judge(in_force, other, PLANES, accept_run=accepted)
        assert isinstance(refused, Refuse)
        assert "gateway.accept_run to 'run-1'" in refused.reason
    again = judge(other, in_force, PLANES, accept_run="run-1")
    assert again == Adopt(fresh_run=True), "rule 3: nothing is on the candidate any more"
    assert isinstance(judge(in_force, table(8, term=5), PLANES, accept_run="run-1"), Refuse)


def page(tmp_path, workers=1):
    return Page.create(tmp_path / "page.bin", workers)[0]


def test_the_page_gives_back_the_table_and_a_new_version(tmp_path):
    shared = page(tmp_path)
    assert [shared.publish(table(1)), shared.publish(table(2, share=3))] == [1, 2]
    assert shared.table() == (2, table(2, share=3))


def test_a_half_written_table_is_not_read(tmp_path):
    shared = page(tmp_path)
    shared.publish(table(1))
    shared.bytes[4100] ^= 1
    with pytest.raises(RuntimeError):
        shared.table()


def test_a_table_is_waited_for_while_it_is_being_written(tmp_path):
    shared = page(tmp_path)
    shared.publish(table(1))
    shared.words[page_module.SEQUENCE] += 1

    def finish():
        shared.words[page_module.SEQUENCE] += 1

    timer = Timer(0.2, finish)
    timer.start()
    assert shared.table() == (1, table(1))
    timer.join()


def test_a_count_for_a_slot_that_was_given_away_is_said_to_be_lost(tmp_path):
    shared = page(tmp_path)
    tally = Tally(shared, 0)
    tally.adopt(1)
    tally.count(1, 0)
    tally.adopt(1 + SLOTS)
    tally.count(1, 0)
    assert shared.words[shared.block_at(0) + 2] == 1
    assert [slot.version() for slot in shared.slots(0) if slot.version()] == [1 + SLOTS]


def nobody(worker):
    raise AssertionError(f"worker {worker} is to be spawned where none is")


CELLS = st.lists(st.integers(0, 2 * len(INTENTS) * len(OUTCOMES) - 1), max_size=30)


@given(st.lists(st.tuples(CELLS, st.booleans(), st.booleans()), max_size=8))
def test_totals_are_exact_whatever_is_lost_repeated_or_restarted(tmp_path_factory, steps):
    """Each step counts some cells, then maybe the worker dies, then maybe a report arrives."""
    shared = page(tmp_path_factory.mktemp("page"))
    totals, tally = Totals(PLANES), Tally(shared, 0)
    totals.open(1, 7)
    tally.adopt(1)
    told, truth = {}, {}
    for cells, dies, arrives in steps:
        for cell in cells:
            tally.count(1, cell)
            truth[cell] = truth.get(cell, 0) + 1
        for slot in shared.slots(0):
            if slot.version():
                totals.add(0, slot.version(), slot.counters())
        if dies:
            totals.forget_worker(0)
            shared.clear_block(0)
            tally.adopt(1)
        unsaid = totals.unsaid()
        if arrives:
            told |= {cell: n for (_, cell), n in unsaid.cells.items()}
            totals.acknowledge(unsaid)
            assert not totals.unsaid()
    told |= {cell: n for (_, cell), n in totals.unsaid().cells.items()}
    assert told == truth


@given(st.lists(st.tuples(st.integers(1, 3), CELLS, st.booleans()), max_size=8))
def test_what_was_cleared_before_it_was_looked_at_is_lost_and_nothing_else(tmp_path_factory, steps):
    """Each step is some rounds of the ring later; it counts, and then maybe is looked at."""
    shared = page(tmp_path_factory.mktemp("node"))
    totals, tally = Totals(PLANES), Tally(shared, 0)
    crew = Crew(shared, totals, SystemClock(), nobody)
    version, truth = 0, 0
    for generation, (rounds, cells, looked) in enumerate(steps, 1):
        version += rounds * SLOTS
        totals.open(version, generation)
        tally.adopt(version)
        for cell in cells:
            tally.count(version, cell)
        truth += len(cells)
        if looked:
            crew.harvest()
    crew.harvest()
    counted = sum(c.n for c in totals.unsaid().counts())
    assert counted + totals.lost == truth
    assert totals.lost == sum(len(cells) for _, cells, looked in steps[:-1] if not looked)


def test_a_report_stays_small_however_much_there_is_to_say_and_the_next_has_the_rest():
    """A full house: every cell of every generation that is kept, none acknowledged yet."""
    totals, said = Totals(PLANES), {}
    for generation in range(1, GENERATIONS_KEPT + 1):
        totals.open(generation, generation)
        totals.add(0, generation, bytes([1, *[0] * 7]) * page_module.CELLS)
        for pair in range(page_module.BITMAPS):
            totals.add_buckets(generation, pair, (1 << 10_000) - 1)
    reports = 0
    while unsaid := totals.unsaid():
        reports += 1
        report = NodeReport(
            node="n" * 64, boot="b", term=1, generation=1, refused_generation=0, refused="",
            in_flight=0, lost=0, counts=tuple(unsaid.counts()), key_proofs={},
            conversations=tuple(unsaid.conversations()),
        )  # fmt: skip
        assert len(msgspec.json.encode(report)) < REPORT_BYTES_MAX / 2
        if reports == 1:
            assert max(c.generation for c in report.counts) == GENERATIONS_KEPT
        said |= {(c.generation, c.plane, c.intent, c.outcome): c.n for c in report.counts}
        totals.acknowledge(unsaid)
        assert unsaid.whole is not bool(totals.unsaid())
    assert len(said) == GENERATIONS_KEPT * page_module.CELLS
    assert set(said.values()) == {1}


def test_generations_that_cannot_change_any_more_are_forgotten_and_what_was_never_said_is_lost():
    totals = Totals(PLANES)
    for generation in (1, 2):
        totals.open(generation, generation)
        totals.add(0, generation, bytes([3, *[0] * 7]) + bytes((page_module.CELLS - 1) * 8))
        if generation == 1:
            totals.acknowledge(totals.unsaid())
    for generation in range(3, 4 + GENERATIONS_KEPT):
        totals.open(generation, generation)
    assert not totals.unsaid()
    assert totals.lost == 3


def test_a_failed_payment_is_urgent_and_a_failed_analysis_is_not(tmp_path):
    shared = page(tmp_path)
    totals, tally = Totals(PLANES), Tally(shared, 0)
    totals.open(1, 1)
    tally.adopt(1)
    failed = OUTCOMES.index(Outcome.BUSINESS_FAILED)
    for intent, urgent in ((Intent.ANALYZE, False), (Intent.PAY, True)):
        tally.count(1, cell_of(0, INTENTS.index(intent), failed))
        (slot,) = [slot for slot in shared.slots(0) if slot.version()]
        assert totals.add(0, slot.version(), slot.counters()) is urgent


def node_config(tmp_path, **changes):
    plane = Plane()
    plane.port = 1
    made = config(tmp_path, {"hetzner": plane, "phala": plane}, "http://127.0.0.1:1")
    return replace(made, **changes)


@pytest.mark.parametrize(
    "wrong",
    [
        {"client_keys": ()}, {"client_keys": ("",)}, {"client_keys": ("a\r\nb",)}, {"workers": 0},
        {"node": "a b"}, {"gateway_token": ""}, {"conductor_url": "ftp://x"}, {"loop": "trio"},
        {"planes": {}},
    ],
)  # fmt: skip
def test_a_configuration_that_cannot_work_is_refused_before_anything_starts(tmp_path, wrong):
    with pytest.raises(ConfigurationError):
        node_config(tmp_path, **wrong).checked()


@pytest.mark.parametrize(
    ("descriptors", "connections"),
    [(20_000, 4096), (4672, 4096), (4671, 4095), (640, 64), (resource.RLIM_INFINITY, 4096)],
)
def test_as_many_clients_are_served_as_there_are_descriptors_for(descriptors, connections):
    assert fitting(Limits(), descriptors) == replace(Limits(), connections=connections)


def test_a_node_without_descriptors_for_anybody_is_not_started():
    with pytest.raises(ConfigurationError, match="may have 639 file descriptors"):
        fitting(Limits(), 639)


def test_a_configuration_survives_the_pipe_and_shows_no_secret(tmp_path):
    made = node_config(tmp_path).checked()
    assert from_json(to_json(made), type(made)) == made
    for secret in ("client-key", "gateway-token", "key-of-hetzner"):
        assert secret not in repr(made)


@pytest.mark.parametrize(
    "url",
    [
        "http://u:p@h", "https://h?x", "//h", "http://", "http://h/ x", "http://a..b",
        f"http://{'a' * 64}.example",
    ],
)  # fmt: skip
def test_addresses_that_hide_something_or_can_never_be_found_are_refused(url):
    with pytest.raises(ValueError, match=r"http|neither"):
        address_of(url)


def test_the_sockets_that_clients_connect_to_are_known_to_be_tcp():
    """Without that asyncio's own loop leaves small answers to Nagle's algorithm."""
    listeners = listen("127.0.0.1", 0, 2)
    assert {listener.proto for listener in listeners} == {socket.IPPROTO_TCP}
    for listener in listeners:
        listener.close()


def test_a_damaged_table_on_disk_stops_the_start(tmp_path):
    (tmp_path / "table.json").write_bytes(b'{"generation": 1')
    store = Store(tmp_path)
    with pytest.raises(ConfigurationError, match="no routing table"):
        store.table()
    store.close()


def test_two_nodes_cannot_share_a_state_directory(tmp_path):
    store = Store(tmp_path)
    with pytest.raises(ConfigurationError, match="in use"):
        Store(tmp_path)
    store.close()
    Store(tmp_path).close()


@pytest.mark.parametrize(
    ("read", "length"),
    [
        (b"HEAD\r\n\r\nbody", 3), (b"HEAD\r\n\r\nbody", 5), (b"HEAD\r\n\r\n", 4),
        (b"\r\n\r\nHEAD\r\n\r\nbody", 4), (b"body", 4), (b"", 0),
        (b"H" * HEAD_BYTES_MAX + b"\r\n\r\nbody", 4),
    ],
)  # fmt: skip
def test_what_is_not_exactly_one_head_and_its_body_is_not_remembered(read, length):
    heads = Heads()
    heads.remember(read, Request(), length)
    assert heads.known == {}


def test_the_heads_remembered_are_bounded_and_the_newest_is_among_them():
    heads = Heads()
    for number in range(HEADS_MAX + 10):
        heads.remember(b"head %d\r\n\r\nbody" % number, Answer(), 4)
        assert len(heads.known) <= HEADS_MAX
    assert heads.known[b"head %d\r\n\r\n" % (HEADS_MAX + 9)].length == 4
    assert len(heads.known) == 10


@pytest.mark.parametrize("word", ["unknown", "UNKNOWN", "UnKnown", "un\u212anown"])
def test_the_spellings_of_unknown_are_told(word):
    answer = said(f"❌ Payment failed: {word} outcome")
    assert outcome_of(Intent.PAY, 200, answer) is Outcome.TIMEOUT_UNKNOWN


class Broken:
    """A transport that cannot be written to, and does not know it."""

    aborted = False

    def is_closing(self):
        return False

    def write(self, data):
        raise RuntimeError("the handler is closed")

    def abort(self):
        self.aborted = True


class Sound(Broken):
    taken = b""

    def write(self, data):
        self.taken += data


async def test_one_connection_that_takes_nothing_costs_the_others_nothing(tmp_path):
    loop = asyncio.get_running_loop()
    board = Board(node_config(tmp_path), page(tmp_path), 0, loop, SystemClock(), b"id")
    broken, sound = Broken(), Sound()
    board.write_soon(broken, b"a")
    board.write_soon(sound, b"b")
    board.flush()
    assert (broken.aborted, sound.taken) == (True, b"b")
