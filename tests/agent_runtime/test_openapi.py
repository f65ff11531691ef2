"""The surface is what its OpenAPI document says, also for requests that nobody thought of."""

import contextlib
import hashlib
import hmac
import json
import re
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

PROGRAM = Path(sys.executable).with_name("agent-runtime")
KEY = {"x-agent-api-key": "test-key"}
COLLECTS = {
    "HOT_PAY_JWT": "t.o.k",
    "HOT_PAY_API_BASE": "http://127.0.0.1:1",  # nobody is asked for invoices here
    "NEAR_ACCOUNT_ID": "a.near",
    "NEAR_PRIVATE_KEY": "ed25519:" + "1" * 32,
    "NEAR_NODE_URL": "http://127.0.0.1:1",
}
SEED = 20261124
EXAMPLES = 8
WITH_BODY = ("/process", "/parity", "/fundings")
QUIET = {
    "deadline": None,
    "database": None,
    "phases": (Phase.explicit, Phase.generate),
    "suppress_health_check": list(HealthCheck),
}


@contextlib.contextmanager
def serving(folder, environ):
    """Run the program; its address."""
    log = folder / "stderr.ndjson"
    with log.open("wb") as stderr:
        process = subprocess.Popen([PROGRAM], env=environ, stderr=stderr)
    try:
        until, port = time.monotonic() + 20, None
        while port is None:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.02)
            port = re.search(r'"event": "serving".*"port": ([0-9]+)', log.read_text())
        yield f"http://127.0.0.1:{port[1]}"
        assert "request_broke" not in log.read_text()
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="module")
def address(tmp_path_factory, told):
    folder = tmp_path_factory.mktemp("described")
    with serving(folder, told(folder, PING_PAY_WEBHOOK_SECRET="hook", **COLLECTS)) as found:
        yield found


@pytest.fixture(scope="module")
def client(address):
    with httpx.Client(base_url=address, trust_env=False) as found:
        yield found


@pytest.fixture(scope="module")
def document(client):
    return client.get("/openapi.json").json()


def operations(document):
    return [
        (path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


def routes_of(router):
    """Every route, those of included routers too."""
    for route in router.routes:
        included = getattr(route, "original_router", None)
        yield from [route] if included is None else routes_of(included)


async def test_what_is_served_is_what_is_described(tmp_path, told, run_plane):
    async with run_plane(told(tmp_path)) as plane:
        served = {
            (route.path, method)
            for route in routes_of(plane.server.config.app.router)
            for method in route.methods
        }
        document = (await plane.client.get("/openapi.json")).json()
    described = {(path, method.upper()) for path, method, _ in operations(document)}
    assert served == described
    texts = document["paths"]["/receipts/{receipt_id}"]["get"]["responses"]["200"]["content"]
    assert set(texts) == {"text/html", "application/json"}


def test_every_error_of_every_route_has_the_one_shape(document):
    for path, method, operation in operations(document):
        assert operation["tags"], path
        for status, answer in operation["responses"].items():
            if int(status) < 400 or (path, status) in {("/ready", "503"), ("/canary/run", "503")}:
                continue
            schema = answer["content"]["application/json"]["schema"]
            assert schema == {"$ref": "#/components/schemas/Fault"}, (path, method, status)
    assert "422" not in {s for _, _, o in operations(document) for s in o["responses"]}


def test_the_document_says_which_routes_ask_for_the_key(document):
    keyed = {path for path, _, operation in operations(document) if operation.get("security")}
    assert keyed == {
        "/process", "/payments/{payment_id}", "/canary/run", "/eigenai/grant", "/identity",
        "/parity", "/metrics", "/fundings", "/fundings/{funding_id}",
    }  # fmt: skip
    scheme = document["components"]["securitySchemes"]["x-agent-api-key"]
    assert (scheme["type"], scheme["in"], scheme["name"]) == ("apiKey", "header", "x-agent-api-key")


def test_no_request_breaks_the_service_or_its_description(address):
    """A 503 or 502 is an honest answer where it is described; a 500 never is."""
    import schemathesis  # only here: every worker collects this file, and to import it takes long
    from schemathesis import GenerationMode
    from schemathesis.checks import not_a_server_error

    described = schemathesis.openapi.from_url(f"{address}/openapi.json")
    seen = set()
    for result in described.get_all_operations():
        operation = result.ok()
        ways = list(GenerationMode) if operation.path in WITH_BODY else [GenerationMode.POSITIVE]
        for way in ways:

            @seed(SEED)
            @settings(max_examples=EXAMPLES, **QUIET)
            @given(case=operation.as_strategy(generation_mode=way))
            def every(case):
                answer = case.call(base_url=address, headers=KEY, timeout=10)
                seen.add(answer.status_code)
                assert answer.status_code != 500
                case.validate_response(answer, headers=KEY, excluded_checks=[not_a_server_error])

            every()
    assert {200, 400} <= seen


def signature_of(secret, stamp, body):
    return hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()


HEX = st.text("0123456789abcdef", min_size=64, max_size=64)
LATIN = st.text(st.characters(codec="latin-1", exclude_categories=["C"]), max_size=80)


@seed(SEED)
@settings(max_examples=80, **QUIET)
@given(
    body=st.binary(max_size=200),
    drawn=HEX | LATIN,
    age=st.integers(-1000, 1000),
    twist=st.sampled_from(["drawn", "secret", "body", "stamp", "cut", "none"]),
)
def test_no_delivery_with_a_bad_signature_is_taken(client, body, drawn, age, twist):
    stamp = str(int(time.time()) + age)
    signature = {
        "drawn": drawn.strip(),
        "secret": signature_of("hook2", stamp, body),
        "body": signature_of("hook", stamp, body + b"\0"),
        "stamp": signature_of("hook", stamp + "0", body),
        "cut": signature_of("hook", stamp, body)[:-1],
        "none": "",
    }[twist]
    headers = [
        (b"x-ping-signature", signature.encode("latin-1")),
        (b"x-ping-timestamp", stamp.encode()),
    ]
    answer = client.post("/webhook/pingpay", content=body, headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (401, "Invalid signature")


MEMBERS = st.sampled_from(["text", "plan", "author", "type", "nonce"]) | st.text(max_size=5)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(MEMBERS, inner, max_size=4),
    max_leaves=6,
)


@seed(SEED)
@settings(max_examples=80, **QUIET)
@given(
    body=st.binary(max_size=300) | JSON.map(lambda value: json.dumps(value).encode()),
    path=st.sampled_from(["/process", "/parity"]),
)
def test_no_body_breaks_the_service_and_without_the_key_none_is_read(client, body, path):
    answer = client.post(path, content=body, headers=KEY)
    assert answer.status_code in {200, 400}
    assert answer.status_code == 200 or set(answer.json()) == {"error", "code"}
    assert client.post(path, content=body).status_code == 401
