"""The RPC speaks nearcore's shapes, refusals included."""

import base64

from sandbox.near import genesis
from sandbox.near.borsh import decode_signed
from sandbox.near.payer import ft_transfer

ADA = "ada.people.near"


async def error_of(answer):
    return answer.json()["error"]


async def test_a_payment_sent_with_final_comes_back_final_with_its_event(client):
    raw = client.payer().sign(genesis.USDC, [ft_transfer(ADA, 5, "leg-1")])
    result = (await client.send(raw))["result"]
    assert result["final_execution_status"] == "FINAL"
    assert "SuccessValue" in result["status"]
    assert result["transaction"]["hash"] == decode_signed(raw).hash
    logs = result["receipts_outcome"][0]["outcome"]["logs"]
    assert '"memo":"leg-1"' in logs[0]
    assert await client.usdc_of(ADA) == 5


async def test_sending_the_same_bytes_again_reports_the_first_result(client):
    raw = client.payer().sign(genesis.USDC, [ft_transfer(ADA, 5)])
    first, second = await client.send(raw), await client.send(raw)
    assert first["result"]["transaction"] == second["result"]["transaction"]
    assert await client.usdc_of(ADA) == 5


async def test_a_used_nonce_is_refused_with_the_reason_in_data(client):
    payer = client.payer()
    await client.send(payer.sign(genesis.USDC, [ft_transfer(ADA, 5)]))
    other = payer.sign(genesis.USDC, [ft_transfer(ADA, 6)], nonce=payer._last_nonce)
    error = (await client.send(other))["error"]
    assert error["name"] == "HANDLER_ERROR"
    assert error["cause"]["name"] == "INVALID_TRANSACTION"
    detail = error["data"]["TxExecutionError"]["InvalidTxError"]["InvalidNonce"]
    assert detail["tx_nonce"] == detail["ak_nonce"]


async def test_an_unknown_hash_is_unknown_at_once_with_none_and_a_timeout_otherwise(client):
    params = {"tx_hash": "1" * 32, "sender_account_id": genesis.AGENT, "wait_until": "NONE"}
    answer = await client.rpc("tx", params)
    assert answer.status_code == 200
    assert (await error_of(answer))["cause"]["name"] == "UNKNOWN_TRANSACTION"
    answer = await client.rpc("tx", {**params, "wait_until": "FINAL"})
    assert answer.status_code == 408
    assert (await error_of(answer))["cause"]["name"] == "TIMEOUT_ERROR"


async def test_a_transaction_is_found_only_with_its_sender(client):
    raw = client.payer().sign(genesis.USDC, [ft_transfer(ADA, 5)])
    await client.send(raw)
    params = {"tx_hash": decode_signed(raw).hash, "wait_until": "NONE"}
    found = await client.rpc("tx", {**params, "sender_account_id": genesis.AGENT})
    assert found.json()["result"]["final_execution_status"] == "FINAL"
    wrong = await client.rpc("tx", {**params, "sender_account_id": genesis.USDC})
    assert (await error_of(wrong))["cause"]["name"] == "UNKNOWN_TRANSACTION"
    status = await client.rpc(
        "EXPERIMENTAL_tx_status", {**params, "sender_account_id": genesis.AGENT}
    )
    assert status.json()["result"]["receipts"][0]["receiver_id"] == genesis.USDC


async def test_queries_answer_with_the_block_they_are_about(client):
    params = {"request_type": "view_account", "finality": "final", "account_id": genesis.AGENT}
    account = (await client.rpc("query", params)).json()["result"]
    block = (await client.rpc("block", {"block_id": account["block_height"]})).json()["result"]
    assert block["header"]["hash"] == account["block_hash"]
    assert account["code_hash"] == "1" * 32
    key = client.credentials.near.planes["phala"].public
    params = {**params, "request_type": "view_access_key", "public_key": key}
    shown = (await client.rpc("query", params)).json()["result"]
    assert shown["permission"] == "FullAccess"
    assert shown["nonce"] < account["block_height"] * 10**6


async def test_unknown_things_are_named(client):
    query = {"request_type": "view_account", "finality": "final", "account_id": "nobody.near"}
    for params, cause in (
        (query, "UNKNOWN_ACCOUNT"),
        (
            {**query, "account_id": genesis.AGENT, "request_type": "call_function"},
            "NO_CONTRACT_CODE",
        ),
        (
            {
                **query,
                "account_id": genesis.AGENT,
                "request_type": "view_access_key",
                "public_key": "ed25519:" + "1" * 32,
            },
            "UNKNOWN_ACCESS_KEY",
        ),
    ):
        answer = await client.rpc("query", params)
        assert answer.status_code == 200
        assert (await error_of(answer))["cause"]["name"] == cause
    answer = await client.rpc("block", {"block_id": 1})
    assert (await error_of(answer))["cause"]["name"] == "UNKNOWN_BLOCK"


async def test_a_panic_in_a_view_comes_back_inside_the_result(client):
    seen = await client.view(genesis.SPLITS, "get_split", {})
    assert "missing field `split_id`" in seen["error"]


async def test_requests_that_are_none_are_400(client):
    for method, params, cause in (
        ("nonsense", {}, "METHOD_NOT_FOUND"),
        ("send_tx", {"signed_tx_base64": "%%"}, "PARSE_ERROR"),
        ("send_tx", {"signed_tx_base64": base64.b64encode(b"\0" * 40).decode()}, "PARSE_ERROR"),
        ("tx", {"tx_hash": 5}, "PARSE_ERROR"),
    ):
        answer = await client.rpc(method, params)
        assert answer.status_code == 400, method
        error = await error_of(answer)
        assert (error["name"], error["cause"]["name"]) == ("REQUEST_VALIDATION_ERROR", cause)


async def test_the_deprecated_forms_send_too(client):
    payer = client.payer()
    raw = [
        base64.b64encode(payer.sign(genesis.USDC, [ft_transfer(ADA, n)])).decode() for n in (1, 2)
    ]
    tx_hash = (await client.rpc("broadcast_tx_async", [raw[0]])).json()["result"]
    assert tx_hash == decode_signed(base64.b64decode(raw[0])).hash
    committed = (await client.rpc("broadcast_tx_commit", [raw[1]])).json()["result"]
    assert "SuccessValue" in committed["status"]
    assert await client.usdc_of(ADA) == 3
