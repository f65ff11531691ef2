"""Each fault does what it says, to whom it says, as often as it says."""

import asyncio
import re

import httpx
import pytest
from pydantic import ValidationError

from sandbox.faults import Call, Faults, Rule
from sandbox.near import genesis
from sandbox.near.borsh import decode_signed
from sandbox.near.payer import ft_transfer
from sandbox.web import Answer, Server, read_request, send_answer

ADA = "ada.people.near"


def repo_url(client, plane=None):
    return client.urls["github"] + (f"/~{plane}" if plane else "") + "/repos/acme/widgets"


async def get(client, plane=None, **kwargs):
    token = client.credentials.github_token
    headers = {"authorization": f"token {token}"}
    return await client.http.get(repo_url(client, plane), headers=headers, **kwargs)


async def test_status_answers_with_this_status(client):
    await client.fault(service="github", operation="repo", kind="status", status=502)
    assert (await get(client)).status_code == 502


async def test_latency_answers_rightly_but_later(client):
    await client.fault(service="github", kind="latency_ms", latency_ms=200)
    begin = asyncio.get_running_loop().time()
    assert (await get(client)).status_code == 200
    assert asyncio.get_running_loop().time() - begin >= 0.2


async def test_hang_never_answers(client):
    await client.fault(service="github", kind="hang")
    with pytest.raises(httpx.ReadTimeout):
        await get(client, timeout=0.2)


async def test_reset_closes_the_connection_without_an_answer(client):
    await client.fault(service="github", kind="reset")
    with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
        await get(client)


async def test_half_gives_a_truncated_body(client):
    await client.fault(service="github", kind="half")
    with pytest.raises(httpx.RemoteProtocolError, match=r"incomplete|without sending complete"):
        await get(client)


@pytest.mark.parametrize("kind", ["reset", "status", "hang", "half"])
async def test_after_lets_the_payment_happen_and_spoils_only_the_answer(client, kind):
    await client.fault(service="near", operation="send_tx", kind=kind, after=True)
    raw = client.payer().sign(genesis.USDC, [ft_transfer(ADA, 5)])
    try:
        await asyncio.wait_for(client.send(raw), 0.5)
    except (httpx.HTTPError, ValueError, TimeoutError):
        pass
    else:
        assert kind == "status"
    await client.control("DELETE", "/faults")
    await client.world.chain.wait_for(decode_signed(raw).hash, "FINAL", 2)
    assert await client.usdc_of(ADA) == 5


async def test_reset_before_leaves_nothing_done(client):
    await client.fault(service="near", operation="send_tx", kind="reset")
    raw = client.payer().sign(genesis.USDC, [ft_transfer(ADA, 5)])
    with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
        await client.send(raw)
    assert not client.world.chain.knows(decode_signed(raw).hash)


async def test_failed_receipts_hit_the_named_planes_key_alone(client):
    await client.fault(
        service="near", operation="send_tx", kind="wrong", variant="failed_receipt", plane="phala"
    )
    bad = await client.send(client.payer("phala").sign(genesis.USDC, [ft_transfer(ADA, 5)]))
    good = await client.send(client.payer("hetzner").sign(genesis.USDC, [ft_transfer(ADA, 7)]))
    assert "Failure" in bad["result"]["status"]
    assert "SuccessValue" in good["result"]["status"]
    assert await client.usdc_of(ADA) == 7


async def test_match_on_a_public_key_is_the_same_as_its_plane(client):
    key = client.credentials.near.planes["phala"].public
    await client.fault(
        service="near", operation="send_tx", kind="status", match={"public_key": key}
    )
    raw = client.payer("hetzner").sign(genesis.USDC, [ft_transfer(ADA, 7)])
    assert "result" in await client.send(raw)
    phala = await client.send(client.payer("phala").sign(genesis.USDC, [ft_transfer(ADA, 7)]))
    assert phala == {"message": "fault injected"}


async def test_a_silent_drop_times_out_and_stays_unknown_until_sent_again(client):
    await client.fault(service="near", operation="send_tx", kind="wrong", variant="silent_drop")
    raw = client.payer().sign(genesis.USDC, [ft_transfer(ADA, 5)])
    assert (await client.send(raw))["error"]["cause"]["name"] == "TIMEOUT_ERROR"
    assert not client.world.chain.knows(decode_signed(raw).hash)
    await client.control("DELETE", "/faults")
    assert (await client.send(raw))["result"]["final_execution_status"] == "FINAL"
    assert await client.usdc_of(ADA) == 5


async def test_accept_then_timeout_executes_although_it_says_timeout(client):
    await client.fault(
        service="near", operation="send_tx", kind="wrong", variant="accept_then_timeout"
    )
    raw = client.payer().sign(genesis.USDC, [ft_transfer(ADA, 5)])
    assert (await client.send(raw))["error"]["cause"]["name"] == "TIMEOUT_ERROR"
    await client.world.chain.wait_for(decode_signed(raw).hash, "FINAL", 2)
    assert await client.usdc_of(ADA) == 5


async def test_a_planes_marked_address_lets_one_plane_fail_with_shared_credentials(client):
    await client.fault(service="github", kind="wrong", plane="phala")
    assert (await get(client, "phala")).status_code == 404
    assert (await get(client, "hetzner")).status_code == 200
    assert (await get(client)).status_code == 200


async def test_count_limits_the_hits_and_the_state_shows_them(client):
    await client.fault(service="github", kind="status", count=2)
    seen = [(await get(client)).status_code for _ in range(4)]
    assert seen == [503, 503, 200, 200]
    state = (await client.control("GET", "/faults")).json()["faults"]
    assert state[0]["hits"] == 2
    calls = (await client.control("GET", "/calls")).json()
    assert calls["github.repo"] == 4


def test_a_rate_is_a_seeded_share():
    def hits(seed):
        faults = Faults({})
        faults.replace([Rule(service="hot", kind="status", rate=0.3, seed=seed)])
        return [faults.pick(Call("hot", "x")) is not None for _ in range(1000)]

    assert hits(1) == hits(1)
    assert hits(1) != hits(2)
    assert 250 < sum(hits(1)) < 350


def test_the_first_matching_rule_wins():
    faults = Faults({})
    faults.replace(
        [Rule(service="hot", operation="a", kind="hang"), Rule(service="hot", kind="reset")]
    )
    assert faults.pick(Call("hot", "a")).kind == "hang"
    assert faults.pick(Call("hot", "b")).kind == "reset"
    assert faults.pick(Call("ping", "b")) is None


@pytest.mark.parametrize(
    "rule",
    [
        {"service": "near", "kind": "wrong", "variant": "success_false"},
        {"service": "near", "kind": "hang", "variant": "html"},
        {"service": "near", "kind": "explode"},
        {"service": "nobody", "kind": "hang"},
        {"service": "near", "kind": "hang", "rate": 1.5},
        {"service": "near", "kind": "hang", "typo": 1},
        {"service": "near", "kind": "hang", "retry_after": 1},
    ],
)
def test_a_rule_that_means_nothing_is_refused(rule):
    with pytest.raises(ValidationError):
        Rule.model_validate(rule)


async def test_the_control_endpoint_wants_its_token_and_known_planes(client):
    assert (await client.control("GET", "/ledger", token="guess")).status_code == 401
    body = [{"service": "near", "kind": "hang", "plane": "mars"}]
    answer = await client.control("PUT", "/faults", body)
    assert answer.status_code == 422
    assert "mars" in answer.json()["error"]
    assert (await client.control("PUT", "/faults", {"faults": 5})).status_code == 422


async def test_the_ledger_shows_what_happened(client):
    raw = client.payer().sign(genesis.USDC, [ft_transfer(ADA, 5)])
    await client.send(raw)
    ledger = (await client.control("GET", "/ledger")).json()
    assert ledger["tokens"][genesis.USDC]["balances"][ADA] == "5"
    assert ledger["transactions"][-1]["hash"] == decode_signed(raw).hash
    assert ledger["transactions"][-1]["failed"] is False


async def test_blocks_can_be_made_on_demand(client):
    before = client.world.chain.head.height
    answer = (await client.control("POST", "/near/blocks", {"count": 500})).json()
    assert answer["head"] >= before + 500
    assert (await client.control("POST", "/near/blocks", {"count": 0})).status_code == 422


async def drain(reader, into):
    while part := await reader.read(1024):
        into += part


async def test_torn_resets_the_connection_in_the_middle_of_the_body(client):
    """What has arrived is half of the right answer; what comes next is a reset, not an end."""
    await client.fault(service="github", operation="repo", kind="torn")
    address = httpx.URL(repo_url(client))
    reader, writer = await asyncio.open_connection(address.host, address.port)
    token = client.credentials.github_token
    asked = f"GET {address.path} HTTP/1.1\r\nhost: x\r\nauthorization: token {token}\r\n\r\n"
    writer.write(asked.encode())
    arrived = await reader.readuntil(b"\r\n\r\n")
    promised = int(re.search(rb"content-length: (\d+)", arrived)[1])
    rest = bytearray()
    with pytest.raises(ConnectionResetError):
        await drain(reader, rest)
    arrived += rest
    body = arrived.partition(b"\r\n\r\n")[2]
    assert 0 < len(body) < promised
    assert body.startswith(b'{"')
    writer.close()


async def test_a_torn_answer_comes_after_the_payment_has_happened(client):
    await client.fault(service="near", operation="send_tx", kind="torn")
    raw = client.payer().sign(genesis.USDC, [ft_transfer(ADA, 5)])
    with pytest.raises(httpx.HTTPError):
        await client.send(raw)
    await client.world.chain.wait_for(decode_signed(raw).hash, "FINAL", 2)
    assert await client.usdc_of(ADA) == 5


async def test_too_many_requests_says_when_to_come_again(client):
    await client.fault(service="github", kind="status", status=429, retry_after=7)
    answer = await get(client)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")
    await client.fault(service="github", kind="status", status=429)
    assert "retry-after" not in (await get(client)).headers


async def test_accepted_and_then_504_executes(client):
    await client.fault(
        service="near", operation="send_tx", kind="status", status=504, after=True, count=1
    )
    raw = client.payer().sign(genesis.USDC, [ft_transfer(ADA, 5)])
    assert await client.send(raw) == {"message": "fault injected"}
    assert (await client.send(raw))["result"]["final_execution_status"] == "FINAL"
    assert await client.usdc_of(ADA) == 5


@pytest.mark.parametrize(
    ("variant", "paid"), [("expired", 0), ("invalid_nonce", 5), ("not_enough_balance", 5)]
)
async def test_a_refusal_may_hide_an_acceptance(client, variant, paid):
    """`expired` is a plain refusal; the others are said although the bytes were taken."""
    await client.fault(service="near", operation="send_tx", kind="wrong", variant=variant)
    raw = client.payer().sign(genesis.USDC, [ft_transfer(ADA, 5)])
    error = (await client.send(raw))["error"]
    assert error["cause"]["name"] == "INVALID_TRANSACTION"
    refused = str(error["data"]["TxExecutionError"]["InvalidTxError"])
    assert variant.replace("_", "") in refused.lower()
    await client.world.chain.wait_for(decode_signed(raw).hash, "FINAL", 0.3 if not paid else 2)
    assert await client.usdc_of(ADA) == paid


async def test_copies_of_one_webhook_arrive_at_the_same_time(client):
    """Every copy is on its way before the first one is answered, and all carry one event id."""
    seen, all_here = [], asyncio.Event()

    async def receiver(scope, receive, send):
        request = await read_request(scope, receive)
        seen.append((request.headers["x-ping-event-id"], request.body))
        if len(seen) == 5:
            all_here.set()
        await asyncio.wait_for(all_here.wait(), 5)
        await send_answer(send, Answer(200))

    server = Server(receiver)
    await server.start()
    order = {"url": server.url, "kind": "good", "copies": 5}
    said = (await client.control("POST", "/ping/deliver", order)).json()
    await server.stop()
    assert [answer["status"] for answer in said["answers"]] == [200] * 5
    assert len(set(seen)) == 1
    refused = await client.control("POST", "/ping/deliver", {**order, "copies": 101})
    assert refused.status_code == 422
