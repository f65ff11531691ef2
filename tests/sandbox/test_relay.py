"""The link passes everything on, until it is told to cut, slow or falsify."""

import asyncio
import contextlib
import time

import httpx
import pytest

from sandbox.relay import CORRUPT_BP, Link, Relay, RelayControl, corrupt_table
from sandbox.web import Server, json_answer, read_request, send_answer

TABLE = {"generation": 7, "routes": {"analyze": {"candidate_bp": 1000, "pinned": False}}}


class Conductor:
    """Answers tables at once, `/v1/poll` when `ready` is set, anything else by echo."""

    def __init__(self):
        self.ready, self.polls, self.requests = asyncio.Event(), 0, []

    async def __call__(self, scope, receive, send):
        request = await read_request(scope, receive)
        self.requests.append(request)
        if request.path == "/v1/poll":
            self.polls += 1
            await self.ready.wait()
        if request.path.startswith("/v1/table") or request.path == "/v1/state":
            await send_answer(send, json_answer(TABLE, headers={"x-term": "3"}))
            return
        shown = {"headers": dict(request.headers), "query": dict(request.query)}
        shown["body"] = request.body.decode()
        await send_answer(send, json_answer(shown, 202))


@contextlib.asynccontextmanager
async def linked():
    conductor, link = Conductor(), Link()
    upstream = Server(conductor)
    await upstream.start()
    client = httpx.AsyncClient(base_url=upstream.url, timeout=40, trust_env=False)
    relay, control = Server(Relay(link, client)), Server(RelayControl(link, "t" * 64))
    await relay.start()
    await control.start()
    try:
        async with httpx.AsyncClient(base_url=relay.url, timeout=5, trust_env=False) as http:
            http.control_url = control.url
            yield conductor, link, http
    finally:
        conductor.ready.set()
        for server in (relay, control, upstream):
            await server.stop()
        await client.aclose()


async def until(condition):
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - the condition is another task's plain counter
            await asyncio.sleep(0.005)


async def test_requests_pass_with_their_credentials_queries_bodies_and_statuses():
    async with linked() as (_, _, http):
        headers = {"authorization": "Bearer node-1", "x-node": "n"}
        answer = await http.post("/v1/outcomes?a=1&b=%2F", content=b"[1]", headers=headers)
        assert answer.status_code == 202
        seen = answer.json()
        assert seen["headers"]["authorization"] == "Bearer node-1"
        assert seen["headers"]["x-node"] == "n"
        assert seen["query"] == {"a": "1", "b": "/"}
        assert seen["body"] == "[1]"
        table = await http.get("/v1/table?since=6")
        assert table.json() == TABLE
        assert table.headers["x-term"] == "3"


async def test_a_partition_answers_nothing_and_heals():
    async with linked() as (conductor, link, http):
        link.switch("drop", 0)
        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
            await http.get("/v1/table")
        assert conductor.requests == []
        link.switch("pass", 0)
        assert (await http.get("/v1/table")).json() == TABLE
        assert link.state()["counts"]["dropped"] == 1


async def test_a_partition_cuts_an_open_poll():
    async with linked() as (conductor, link, http):
        poll = asyncio.create_task(http.get("/v1/poll"))
        await until(lambda: conductor.polls == 1)
        link.switch("drop", 0)
        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
            await poll


async def test_a_long_poll_is_held_until_the_conductor_answers():
    async with linked() as (conductor, _, http):
        poll = asyncio.create_task(http.get("/v1/poll"))
        await until(lambda: conductor.polls == 1)
        assert not poll.done()
        conductor.ready.set()
        assert (await poll).status_code == 202


async def test_a_slow_link_delays():
    async with linked() as (_, link, http):
        link.switch("delay", 150)
        begin = time.monotonic()
        assert (await http.get("/v1/table")).json() == TABLE
        assert time.monotonic() - begin >= 0.15


async def test_a_falsifying_link_breaks_a_share_in_tables_and_nothing_else():
    async with linked() as (_, link, http):
        link.switch("corrupt", 0)
        table = (await http.get("/v1/table/stream")).json()
        assert table["routes"]["analyze"]["candidate_bp"] == CORRUPT_BP
        assert table["generation"] == 7
        assert (await http.get("/v1/state")).json() == TABLE
        assert (await http.post("/v1/table")).json() == TABLE
        assert link.state()["counts"]["corrupted"] == 1


async def test_the_mode_is_changed_with_the_token_alone():
    async with linked() as (_, link, http):
        url = http.control_url + "/mode"
        good = {"authorization": "Bearer " + "t" * 64}
        assert (await http.put(url, json={"mode": "drop"})).status_code == 401
        assert link.mode == "pass"
        assert (await http.put(url, json={"mode": "explode"}, headers=good)).status_code == 422
        answer = await http.put(url, json={"mode": "delay", "delay_ms": 5}, headers=good)
        assert answer.json()["mode"] == "delay"
        assert (await http.get(url, headers=good)).json()["delay_ms"] == 5


async def test_an_upstream_that_is_down_is_a_502_in_the_error_shape():
    link = Link()
    client = httpx.AsyncClient(base_url="http://127.0.0.1:1", trust_env=False)
    relay = Server(Relay(link, client))
    await relay.start()
    try:
        async with httpx.AsyncClient(trust_env=False) as http:
            answer = await http.get(relay.url + "/v1/table")
    finally:
        await relay.stop()
        await client.aclose()
    assert answer.status_code == 502
    assert answer.json()["code"] == "upstream_unreachable"


def test_only_a_value_with_a_share_can_be_falsified():
    assert corrupt_table({"a": [{"b": 1}]}) is False
    value = [{"routes": [{"intent": "x", "candidate_bp": 0}, {"candidate_bp": 5}]}]
    assert corrupt_table(value) is True
    assert [r["candidate_bp"] for r in value[0]["routes"]] == [CORRUPT_BP, 5]
