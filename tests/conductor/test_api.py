"""The control API over real sockets: who may what, one error shape, bounded and prompt."""

import asyncio
import contextlib
import socket
import threading
import time

import httpx
import msgspec
import pytest

from conductor.doubles import engine
from cutover.conductor.api import ENTRIES_MAX, ORDER_BYTES_MAX, build_api
from cutover.conductor.credentials import Tokens
from cutover.conductor.desk import Desk
from cutover.conductor.listener import listen
from cutover.conductor.loop import Loop
from cutover.conductor.nodes import Nodes
from cutover.conductor.service import _server
from cutover.decision.command import AbortOrder, HoldOrder, PromoteOrder
from cutover.evidence.observation import GatewayReport, Started
from cutover.evidence.outcome import Count, Outcome
from cutover.evidence.wire import REPORT_BYTES_MAX, NodeReport, key_proof
from cutover.runbook.intent import Intent

TOKENS = Tokens("operator-token-0123456789", "gateway-token-0123456789")
OPERATOR = {"authorization": f"Bearer {TOKENS.operator}"}
GATEWAY = {"authorization": f"Bearer {TOKENS.gateway}"}
KEYS = {"hetzner": "key-h", "phala": "key-p"}
ROUTES = {
    ("GET", "/v1/status"): OPERATOR,
    ("GET", "/v1/explain"): OPERATOR,
    ("GET", "/v1/entries"): OPERATOR,
    ("POST", "/v1/orders"): OPERATOR,
    ("GET", "/v1/table"): GATEWAY,
    ("POST", "/v1/report"): GATEWAY,
}


class Api:
    """A conductor's API at work over a journal in memory."""

    def __init__(self, folder):
        heart, self.memory, self.ticks = engine()
        self.loop = Loop(heart, 500, lambda _: None)
        self.loop.begin([Started(1, "boot-1", 0)])
        self.nodes = Nodes(heart._clock, 3_000, self.loop.submit, ())
        desk = Desk(self.loop, self.nodes, KEYS)
        self.app = build_api(self.loop, desk, TOKENS, self.read)
        self.listener = listen("127.0.0.1", 0, folder)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def read(self, after):
        return self.entries(after)

    def entries(self, after):
        return iter(self.memory.entries[after:])

    async def __aenter__(self):
        self.server = _server(self.app)
        self.tasks = [
            asyncio.create_task(self.server.serve(sockets=[self.listener])),
            asyncio.create_task(self.loop.run()),
        ]
        self.http = httpx.AsyncClient(base_url=self.url, trust_env=False, timeout=20)
        return self

    async def __aexit__(self, *_):
        await self.http.aclose()
        self.loop.release()
        self.tasks[1].cancel()
        self.server.should_exit = True
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def ask(self, method, path, headers=OPERATOR, **more):
        return await self.http.request(method, path, headers=headers, **more)

    async def order(self, command, **params):
        return await self.ask(
            "POST", "/v1/orders", content=msgspec.json.encode(command), params=params
        )


@pytest.fixture
async def api(tmp_path):
    async with Api(tmp_path) as made:
        yield made


def is_error(answer, status, code):
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert set(body) == {"error", "code"}
    assert body["code"] == code
    assert isinstance(body["error"], str)
    assert body["error"]
    return True


def said(**changes):
    proofs = {plane: key_proof(key, "b1") for plane, key in KEYS.items()}
    values = {
        "node": "node-1", "boot": "b1", "term": 1, "generation": 1, "refused_generation": 0,
        "refused": "", "in_flight": 0, "lost": 0,
        "counts": (Count(1, Intent.PAY, "hetzner", Outcome.OK, 3),), "conversations": (),
        "key_proofs": proofs,
    }  # fmt: skip
    return msgspec.json.encode(NodeReport(**{**values, **changes}))


def test_every_route_is_known_here(tmp_path):
    """A route that this file does not visit would be a route that nobody tests."""
    made = Api(tmp_path)
    served = {
        (method, route.path) for route in made.app.routes for method in route.methods - {"HEAD"}
    }
    made.listener.close()
    assert served == set(ROUTES)


WRONG = (
    None, "", "Bearer", "Bearer wrong", "Basic {own}", "{own}", "Bearer {other}", "Bearer {own}x",
    "bearer  {own}", "Bearer \xe9",
)  # fmt: skip


async def test_nobody_gets_in_without_the_role_s_own_token(api):
    """No token, a wrong one, another scheme, the other role's: 401 before anything is read."""
    count = len(api.memory.entries)
    for (method, path), role in ROUTES.items():
        own, other = TOKENS.operator, TOKENS.gateway
        if role is GATEWAY:
            own, other = other, own
        for wrong in WRONG:
            headers = {}
            if wrong is not None:
                headers["authorization"] = wrong.format(own=own, other=other).encode("latin-1")
            for query in ("", "?after=x&term=y&dry_run=z"):
                answer = await api.ask(method, path + query, headers, content=b"{")
                assert is_error(answer, 401, "unauthorized")
    assert len(api.memory.entries) == count


async def test_every_kind_of_error_has_the_one_shape(api):
    """Unknown paths, wrong methods, bad parameters and bad bodies look alike."""
    assert is_error(await api.ask("GET", "/"), 404, "not_found")
    assert is_error(await api.ask("GET", "/v1/status/"), 404, "not_found")
    assert is_error(await api.ask("GET", "/docs"), 404, "not_found")
    assert is_error(await api.ask("GET", "/openapi.json"), 404, "not_found")
    for method, path in ROUTES:
        wrong = "DELETE" if method == "GET" else "GET"
        assert is_error(await api.ask(wrong, path), 405, "method_not_allowed")
    assert is_error(await api.ask("GET", "/v1/entries?after=x"), 400, "bad_request")
    assert is_error(await api.ask("GET", "/v1/table", GATEWAY), 400, "bad_request")
    assert is_error(await api.ask("GET", "/v1/table?node=n&term=x", GATEWAY), 400, "bad_request")
    assert is_error(await api.ask("POST", "/v1/orders?dry_run=perhaps"), 400, "bad_request")
    assert is_error(await api.order(PromoteOrder("a", "b", "shadow")), 409, "refused")


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"null", b"[]", b"{}", b'{"type":"HoldOrder"}', b'{"type":"Nothing"}',
        b'{"type":"HoldOrder","actor":1,"reason":"x"}', b'{"type":"HoldOrder","actor":"\xff"}',
        b"[" * 5_000, b"\x00", b'{"node":"n"}',
    ],
)  # fmt: skip
async def test_a_malformed_body_is_a_400_and_nothing_more(api, body):
    """Whatever it is, it is refused with a word and leaves no trace in the journal."""
    count = len(api.memory.entries)
    assert is_error(await api.ask("POST", "/v1/orders", content=body), 400, "bad_request")
    assert is_error(await api.ask("POST", "/v1/report", GATEWAY, content=body), 400, "bad_request")
    assert len(api.memory.entries) == count


async def test_a_proof_in_strange_letters_is_refused(api):
    """A key proof is hexadecimal; anything else is no report, and no defect."""
    body = said(key_proofs={"hetzner": "\xe9", "phala": "\u2028"})
    answer = await api.ask("POST", "/v1/report", GATEWAY, content=body)
    assert answer.status_code in (200, 400)
    assert not any(
        isinstance(e.fact, GatewayReport) and e.fact.keys_match for e in api.memory.entries
    )


@pytest.mark.parametrize(
    ("path", "limit", "headers"),
    [("/v1/orders", ORDER_BYTES_MAX, OPERATOR), ("/v1/report", REPORT_BYTES_MAX, GATEWAY)],
)
async def test_an_oversized_body_is_refused(api, path, limit, headers):
    """One byte too many is 413, whether its length is declared or not; the limit itself is read."""

    async def parts():
        for _ in range(limit // 1_000 + 2):
            yield b" " * 1_000

    declared = await api.ask("POST", path, headers, content=b" " * (limit + 1))
    assert is_error(declared, 413, "too_large")
    assert is_error(await api.ask("POST", path, headers, content=parts()), 413, "too_large")
    assert is_error(await api.ask("POST", path, headers, content=b" " * limit), 400, "bad_request")


async def test_a_client_that_leaves_in_the_middle_hurts_nobody(api):
    """Half a body and a closed connection: the API goes on."""
    port = int(api.url.rpartition(":")[2])
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"POST /v1/orders HTTP/1.1\r\nhost: x\r\nauthorization: {OPERATOR['authorization']}\r\n"
    writer.write(head.encode() + b"content-length: 50\r\n\r\n{")
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert (await api.ask("GET", "/v1/status")).status_code == 200


async def test_an_order_is_durable_before_it_is_answered(api):
    """200 means that it is in the journal."""
    answer = await api.order(HoldOrder("ann", "looking"))
    assert answer.status_code == 200
    assert answer.json()["reasons"][0]["code"].startswith(("held", "precondition"))
    assert HoldOrder("ann", "looking") in [e.fact for e in api.memory.entries]


async def test_a_dry_run_changes_nothing(api):
    """Neither admitted nor refused orders leave anything behind when they are only tried."""
    count, before = len(api.memory.entries), api.loop.engine.run
    assert (await api.order(HoldOrder("a", "b"), dry_run=True)).status_code == 200
    assert (await api.order(AbortOrder("a", "b"), dry_run=True)).status_code == 200
    refused = await api.order(PromoteOrder("a", "b", "shadow"), dry_run=True)
    assert is_error(refused, 409, "refused")
    assert len(api.memory.entries) == count
    assert api.loop.engine.run is before


async def test_a_refused_order_is_journaled(api):
    """Who tried is on record, once it was no dry run."""
    await api.order(PromoteOrder("bob", "b", "shadow"))
    assert "OrderRefused" in api.memory.kinds()


async def test_an_order_that_the_journal_refuses_is_not_admitted(api):
    """A full disk is a 503 in the one shape, and the run is not held."""
    api.memory.fails = True
    assert is_error(await api.order(HoldOrder("a", "b")), 503, "journal")
    assert api.loop.engine.run.hold is None


async def test_a_report_is_durable_before_it_is_acknowledged(api):
    """A node forgets what was acknowledged, so it must be in the journal by then."""
    for n in range(1, 30):
        counts = (Count(1, Intent.PAY, "hetzner", Outcome.OK, n),)
        answer = await api.ask("POST", "/v1/report", GATEWAY, content=said(counts=counts))
        assert answer.json() == {"run": "run-1", "term": 1, "money_ms": 0}
        reports = [e.fact for e in api.memory.entries if isinstance(e.fact, GatewayReport)]
        assert reports[-1].counts == counts
        assert reports[-1].keys_match is True


async def test_a_report_to_a_stopping_conductor_is_not_acknowledged(api):
    """The node keeps its numbers and says them to the next incarnation."""
    api.tasks[1].cancel()
    await asyncio.gather(api.tasks[1], return_exceptions=True)
    answer = await api.ask("POST", "/v1/report", GATEWAY, content=said())
    assert is_error(answer, 503, "stopping")


async def test_asking_for_a_table_is_no_sign_of_life(api):
    """A node whose reports do not arrive is silent, however often it asks for a table."""
    assert (await api.ask("POST", "/v1/report", GATEWAY, content=said())).status_code == 200
    watch = asyncio.create_task(api.nodes.watch())
    for _ in range(4):
        api.ticks.ms += 1_000
        path = "/v1/table?node=node-1&term=1&generation=1"
        assert (await api.ask("GET", path, GATEWAY)).status_code == 204
    async with asyncio.timeout(5):
        while "GatewaySilent" not in api.memory.kinds():
            await api.loop.wait_changed()
    watch.cancel()


async def test_a_report_of_an_unknown_plane_is_a_400(api):
    """It is told what is wrong with it, and the conductor goes on."""
    wrong = (Count(1, Intent.PAY, "a|b", Outcome.OK, 3),)
    answer = await api.ask("POST", "/v1/report", GATEWAY, content=said(counts=wrong))
    assert is_error(answer, 400, "bad_request")
    assert "a|b" in answer.json()["error"]
    assert (await api.ask("POST", "/v1/report", GATEWAY, content=said())).status_code == 200


async def test_a_report_that_no_rule_can_fold_is_a_400(api, monkeypatch):
    """The node is told so, nobody else's fault is made of it, and the conductor goes on."""
    real = api.loop.engine.advance

    def advance(facts):
        if any(isinstance(fact, GatewayReport) for fact in facts):
            raise ValueError("too many values")
        return real(facts)

    monkeypatch.setattr(api.loop.engine, "advance", advance)
    answer = await api.ask("POST", "/v1/report", GATEWAY, content=said())
    assert is_error(answer, 400, "bad_request")
    assert "no rule takes it" in answer.json()["error"]
    assert (await api.order(HoldOrder("ann", "looking"))).status_code == 200


async def test_entries_are_read_in_bounded_pages(api):
    """From a number on, as many as asked for and never more than the limit."""
    for n in range(40):
        await api.order(HoldOrder("ann", f"{n}"))
    first = (await api.ask("GET", "/v1/entries?limit=10")).json()
    assert [entry["seq"] for entry in first] == list(range(1, 11))
    rest = (await api.ask("GET", "/v1/entries?after=10&limit=5")).json()
    assert [entry["seq"] for entry in rest] == list(range(11, 16))
    many = (await api.ask("GET", f"/v1/entries?limit={10**9}&after=-5")).json()
    assert 40 <= len(many) <= ENTRIES_MAX


async def test_reading_entries_keeps_nobody_waiting(api):
    """The journal is read beside the event loop; one page is small."""
    assert ENTRIES_MAX <= 200
    free, threads = threading.Event(), []
    real = api.entries

    def slow(after):
        threads.append(threading.current_thread())
        assert free.wait(20)
        return real(after)

    api.entries = slow
    reading = asyncio.create_task(api.ask("GET", "/v1/entries"))
    assert (await api.order(HoldOrder("ann", "looking"))).status_code == 200
    free.set()
    assert (await reading).status_code == 200
    assert threads[0] is not threading.main_thread()


def polls(api):
    """A queue with an item for each request for a table that has begun to wait."""
    begun, real = asyncio.Queue(), api.loop.wait_table

    def wait_table(*asked):
        begun.put_nowait(asked)
        return real(*asked)

    api.loop.wait_table = wait_table
    return begun


async def test_a_long_poll_ends_within_milliseconds_of_the_change(api):
    """Every waiting node has the new table at once, not at the end of its wait."""
    path = "/v1/table?node=n&term=1&generation=1&wait_ms=20000"
    begun = polls(api)
    waiting = [asyncio.create_task(api.ask("GET", path, GATEWAY)) for _ in range(8)]
    for _ in waiting:
        await asyncio.wait_for(begun.get(), 20)
    assert not any(w.done() for w in waiting)
    began = time.monotonic()
    assert (await api.order(AbortOrder("ann", "stop"))).status_code == 200
    answers = await asyncio.gather(*waiting)
    assert time.monotonic() - began < 1
    assert {answer.json()["generation"] for answer in answers} == {2}


async def test_a_long_poll_without_news_is_a_204(api):
    """Also when the caller does not want to wait, or would wait for ever."""
    for wait in (0, -5, 40):
        path = f"/v1/table?node=n&term=1&generation=1&wait_ms={wait}"
        assert (await api.ask("GET", path, GATEWAY)).status_code == 204


async def test_a_stop_is_not_delayed_by_long_polls(tmp_path):
    """Those who wait are sent home, and the server is gone soon after."""
    async with Api(tmp_path) as api:
        path = "/v1/table?node=n&term=1&generation=1&wait_ms=20000"
        begun = polls(api)
        waiting = asyncio.create_task(api.ask("GET", path, GATEWAY))
        await asyncio.wait_for(begun.get(), 20)
        began = time.monotonic()
        api.loop.release()
        assert is_error(await waiting, 503, "stopping")
        api.server.should_exit = True
        await asyncio.wait_for(api.tasks[0], 5)
    assert time.monotonic() - began < 4


async def test_a_defect_is_answered_in_the_one_shape(api, monkeypatch):
    """The caller learns that it is our fault, and nothing of what was inside."""
    monkeypatch.setattr(api.loop.engine, "explain", lambda: 1 / len(KEYS["no such secret"]))
    answer = await api.ask("GET", "/v1/explain")
    assert is_error(answer, 500, "internal")
    assert "no such secret" not in answer.text


async def test_the_port_of_the_last_start_is_taken_again(tmp_path):
    """Nodes keep an address; when somebody else has it, another is better than none."""
    from cutover.conductor.address import write_address
    from cutover.conductor.listener import port_before

    first = listen("127.0.0.1", 0, tmp_path)
    write_address(tmp_path, first)
    port = first.getsockname()[1]
    first.close()
    assert port_before(tmp_path) == port
    second = listen("127.0.0.1", 0, tmp_path)
    assert second.getsockname()[1] == port
    with contextlib.closing(listen("127.0.0.1", 0, tmp_path)) as third:
        assert third.getsockname()[1] != port
    second.close()


async def test_answers_are_not_held_back(tmp_path):
    """Accepted connections have TCP_NODELAY, else each answer waits 40 ms for the peer's ACK."""
    accepted = asyncio.get_running_loop().create_future()
    listener = listen("127.0.0.1", 0, tmp_path)
    server = await asyncio.start_server(
        lambda _, writer: accepted.set_result(writer), sock=listener
    )
    _, ours = await asyncio.open_connection(*listener.getsockname())
    theirs = await asyncio.wait_for(accepted, 20)
    server.close()
    taken = theirs.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    for writer in (ours, theirs):
        writer.close()
        await writer.wait_closed()
    assert taken
