"""The HTTP surface: doors, limits, and one error shape."""

import asyncio
import json

import pytest
from structlog.testing import capture_logs

from agent_runtime.health import VERSION

pytestmark = pytest.mark.asyncio(loop_scope="module")

KEY = {"x-agent-api-key": "test-key"}
OPEN = ("/", "/health", "/ready", "/canary", "/openapi.json")
KEYED = ("/eigenai/grant", "/identity", "/metrics", "/payments/pay-1")
GETS = (*OPEN, *KEYED)
POSTS = ("/process", "/canary/run", "/webhook/pingpay", "/parity")


def is_error(answer, status, code):
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert set(body) == {"error", "code"}
    assert body["code"] == code
    return True


async def test_the_index_lists_only_what_is_served(bare):
    index = (await bare.client.get("/")).json()
    assert index["version"] == VERSION
    assert set(index) == {"name", "version", "description", "endpoints"}
    for served in index["endpoints"].values():
        method, _, path = served.partition(" ")
        assert (await bare.client.request(method, path)).status_code != 404


async def test_every_route_refuses_other_methods_and_every_other_path_is_unknown(bare):
    for path in GETS:
        assert is_error(await bare.client.post(path), 405, "method_not_allowed")
    for path in POSTS:
        answer = await bare.client.get(path)
        assert is_error(answer, 405, "method_not_allowed")
        assert "POST" in answer.headers["allow"]
    for path in ("/nothing", "/process/", "/health/x"):
        assert is_error(await bare.client.get(path), 404, "not_found")


async def test_options_is_answered_anywhere_and_no_page_may_call_unless_it_is_named(bare):
    answer = await bare.client.options("/anything", headers={"origin": "https://a.example"})
    assert answer.status_code == 200
    assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_pages_of_the_named_origins_may_call(tmp_path, run_plane, told):
    listed = told(tmp_path, CORS_ORIGINS="https://a.example, http://localhost:3000")
    async with run_plane(listed) as plane:
        for origin in ("https://a.example", "http://localhost:3000"):
            answer = await plane.client.options("/process", headers={"origin": origin})
            assert answer.headers["access-control-allow-origin"] == origin
            assert "x-agent-api-key" in answer.headers["access-control-allow-headers"]
            assert answer.headers["vary"] == "Origin"
        for origin in ("https://b.example", "https://a.example.b", "null", "*"):
            answer = await plane.client.get("/nothing", headers={"origin": origin})
            assert "access-control-allow-origin" not in answer.headers


async def test_head_is_answered_like_get_without_a_body(bare):
    answer = await bare.client.head("/health")
    assert (answer.status_code, answer.content) == (200, b"")
    assert (await bare.client.head("/process")).status_code == 405


async def test_a_request_id_is_kept_if_it_is_one_and_made_if_it_is_not(bare):
    for given, kept in (("req-12345678", True), ("short", False), ("x" * 65, False), ("", False)):
        answer = await bare.client.get("/health", headers={"x-request-id": given})
        assert (answer.headers["x-request-id"] == given) is kept
        assert len(answer.headers["x-request-id"]) >= 8


@pytest.mark.parametrize("key", [None, "", "test-ke", "test-keyy", "TEST-KEY"])
async def test_a_wrong_or_missing_key_opens_nothing(bare, key):
    headers = {} if key is None else {"x-agent-api-key": key}
    body = {"text": "help"}
    assert is_error(
        await bare.client.post("/process", json=body, headers=headers), 401, "unauthorized"
    )
    assert is_error(await bare.client.post("/canary/run", headers=headers), 401, "unauthorized")
    for path in KEYED:
        assert is_error(await bare.client.get(path, headers=headers), 401, "unauthorized")
    assert is_error(await bare.client.post("/parity", headers=headers), 401, "unauthorized")


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "invalid_json"),
        (b"{", "invalid_json"),
        (b"\xff\xfe", "invalid_json"),
        (b"[" * 60_000, "invalid_json"),
        (b"[]", "invalid_request"),
        (b"{}", "invalid_request"),
        (b'{"text": 7}', "invalid_request"),
        (b'{"text": "help", "text": "pay 1 USDC to a/b"}', "invalid_request"),
        (b'{"text": "help", "x": {"a": 1, "\\u0061": 2}}', "invalid_request"),
        (b'{"text": "help", "x": NaN}', "invalid_json"),
        (b'{"text": "help", "x": -Infinity}', "invalid_json"),
        (b'{"text": "help", "x": ' + b"9" * 5_000 + b"}", "invalid_json"),
        (b'\xef\xbb\xbf{"text": "help"}', "invalid_json"),
        (b'{"text": "  "}', "invalid_request"),
        (b'{"text": "help", "author": {}}', "invalid_request"),
        (b'{"text": "\\ud800"}', "invalid_request"),
    ],
)
async def test_a_bad_body_is_a_clear_400(bare, content, code):
    answer = await bare.client.post("/process", content=content, headers=KEY)
    assert is_error(answer, 400, code)


@pytest.mark.parametrize("name", ["idempotency-key", "x-agent-api-key"])
async def test_a_header_that_decides_something_may_be_there_once(bare, name):
    """Whoever stands before us may read the other one."""
    twice = [*KEY.items(), (name, "test-key"), (name, "k2")]
    answer = await bare.client.post("/process", json={"text": "help"}, headers=twice)
    assert is_error(answer, 400, "repeated_header")


@pytest.mark.parametrize("key", ["\xe9", "a\tb", "k" * 201])
async def test_a_key_is_printable_ascii_and_not_long(bare, key):
    headers = {**KEY, "idempotency-key": key.encode("latin-1")}
    answer = await bare.client.post("/process", json={"text": "help"}, headers=headers)
    assert is_error(answer, 400, "invalid_request")


async def test_a_store_that_takes_no_write_is_neither_ready_nor_an_internal_error(bare):
    """As with a full disk: what is not known is said to be not known."""
    health, db = bare.service.health, bare.service.db
    db.execute("PRAGMA query_only=ON")
    try:
        health.pulse._at = float("-inf")
        ready = await bare.client.get("/ready")
        assert (
            "the store cannot be written: attempt to write a readonly database"
            in (ready.json()["reasons"])
        )
        assert ready.status_code == 503
        with capture_logs() as logged:
            answer = await bare.process("help", key="k-store")
        assert is_error(answer, 503, "store_unavailable")
        assert "readonly" not in answer.text
        assert [line["event"] for line in logged] == ["store_broke"]
    finally:
        db.execute("PRAGMA query_only=OFF")
        health.pulse._at = float("-inf")
    assert (await bare.process("help", key="k-store")).status_code == 200


async def test_a_body_over_64_kib_is_refused_with_and_without_a_length(bare):
    big = json.dumps({"text": "x" * 70_000}).encode()

    async def chunks():
        for start in range(0, len(big), 8_192):
            yield big[start : start + 8_192]

    assert is_error(
        await bare.client.post("/process", content=big, headers=KEY), 413, "body_too_large"
    )
    assert is_error(
        await bare.client.post("/process", content=chunks(), headers=KEY), 413, "body_too_large"
    )


async def test_a_fault_inside_tells_the_caller_nothing(bare, monkeypatch):
    async def broken(_asked):
        raise RuntimeError("secret detail")

    monkeypatch.setattr(bare.service.processor, "answer", broken)
    before = (await bare.client.get("/health")).json()["metrics"]["errors"]
    with capture_logs() as logged:
        answer = await bare.process("help")
    assert [line["event"] for line in logged] == ["request_broke"]
    assert is_error(answer, 500, "internal_error")
    assert "secret" not in answer.text
    assert (await bare.client.get("/health")).json()["metrics"]["errors"] == before + 1


async def test_health_keeps_the_contracts_fields_and_tells_the_truth(bare):
    body = (await bare.client.get("/health")).json()
    assert body["status"] == "unhealthy"
    assert body["services"]["github"] == body["services"]["near"] == "unavailable"
    assert body["services"]["teeWallet"] == "mock"
    assert body["compute"] == "Standard (Local)"
    assert body["readiness"]["ready"] is False
    assert {"timestamp", "uptime", "version", "technologyStack", "metrics"} <= set(body)


async def test_a_plane_without_rails_is_not_ready_and_names_each_reason(bare):
    answer = await bare.client.get("/ready")
    assert answer.status_code == 503
    body = answer.json()
    assert body["ready"] is False
    assert len(body["reasons"]) == 5
    assert set(body) == {"ready", "reasons", "services"}


async def test_without_rails_intents_fail_in_words_and_the_canary_is_not_ok(bare):
    assert (await bare.say("pay 1 USDC to a/b")).startswith("❌ Payment failed: NEAR is not")
    assert (await bare.say("create a/b")).startswith("❌ Failed to create split: NEAR is not")
    answer = await bare.canary()
    assert answer.status_code == 503
    checks = answer.json()["checks"]
    assert {check["details"] for check in checks.values()} == {"not configured"}


async def test_many_requests_at_once_are_all_answered(bare):
    texts = await asyncio.gather(*(bare.say("help") for _ in range(50)))
    assert len(set(texts)) == 1
