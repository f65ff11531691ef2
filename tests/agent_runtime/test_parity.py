"""`/parity`: two planes compare for who holds the run's nonce, and no value leaves either."""

import base64
import hashlib
import json
from dataclasses import fields

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_runtime.errors import SettingsError
from agent_runtime.parity import parity
from agent_runtime.settings import Settings
from agent_runtime.variables import variable_of

KEY = {"x-agent-api-key": "test-key"}
NONCE = bytes(range(32))
SHARED = "shared-by-both-planes"
OWN = {
    "HOST", "PORT", "PLANE_ID", "AGENT_SERVER_API_KEY", "PAYMENTS_DB", "AGENT_LOG_DIR",
    "NEAR_PRIVATE_KEY", "NEAR_WORKER_QUOTE", "NEAR_WORKER_ENDORSEMENTS", "DSTACK_ENDPOINT",
    "AGENT_TLS", "AGENT_TLS_NAMES", "INGRESS_OWNER", "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_HEADERS",
}  # fmt: skip


def marks(nonce=NONCE, key=SHARED, **environ):
    return parity(Settings.from_environ(environ), key, nonce)


def differing(one, other):
    return {name for name in one["same"] if one["same"][name] != other["same"][name]}


def test_every_variable_is_either_compared_or_declared_to_differ():
    found = marks()
    names = {variable_of(item).name for item in fields(Settings)}
    assert set(found["own"]) == OWN
    assert set(found["same"]) == names - OWN


@settings(max_examples=50)
@given(st.integers(1, 10**6), st.integers(1, 10**6))
def test_exactly_the_variable_that_differs_is_named(one, other):
    left, right = marks(AGENT_MAX_PAYOUT_AMOUNT=str(one)), marks(AGENT_MAX_PAYOUT_AMOUNT=str(other))
    assert differing(left, right) == ({"AGENT_MAX_PAYOUT_AMOUNT"} if one != other else set())


def test_two_variables_of_one_value_have_two_fingerprints():
    """Else one could see that a secret is used twice, or try a value of one against the other."""
    same = marks(GITHUB_TOKEN="x" * 20, PING_PAY_API_KEY="x" * 20)["same"]
    assert same["GITHUB_TOKEN"]["fingerprint"] != same["PING_PAY_API_KEY"]["fingerprint"]


def test_a_default_that_is_spelt_out_is_no_difference_and_neither_is_another_form():
    assert not differing(marks(), marks(AGENT_ALLOWED_TOKENS="near, usdc", AGENT_TLS="off"))
    assert not differing(marks(PLANE_ID="a", HOST="1.2.3.4"), marks(PLANE_ID="b"))


def test_a_pem_is_the_same_key_in_each_of_its_forms(credentials):
    real = credentials.app_pem.strip() + "\n"
    forms = (real, real.replace("\n", "\\n"), base64.b64encode(real.encode()).decode())
    first, *others = (marks(GITHUB_PRIVATE_KEY=form) for form in forms)
    assert not [other for other in others if differing(first, other)]


def test_a_variable_that_one_plane_lacks_is_seen_by_its_presence():
    left, right = marks(HOT_PAY_JWT="a.b.c"), marks(HOT_PAY_JWT="placeholder")
    assert (left["same"]["HOT_PAY_JWT"]["set"], right["same"]["HOT_PAY_JWT"]["set"]) == (
        True,
        False,
    )
    assert differing(left, right) == {"HOT_PAY_JWT"}


def test_another_run_or_another_key_compares_with_nothing():
    here = marks()
    for other in (marks(nonce=NONCE[::-1]), marks(key="shared-by-nobody-else")):
        assert other["keyCheck"] != here["keyCheck"]
        assert differing(here, other) == set(here["same"])


def test_a_fingerprint_is_no_hash_that_can_be_made_without_the_key():
    """The value, the name, the nonce and all that is shown do not make it."""
    shown = marks(HOT_PAY_JWT="a.b.c")["same"]["HOT_PAY_JWT"]["fingerprint"]
    parts = (b"a.b.c", b'"a.b.c"', b"HOT_PAY_JWT", NONCE, b"HOT_PAY_JWT\0" + b'"a.b.c"')
    made = {hashlib.sha256(a + b).hexdigest() for a in (b"", *parts) for b in (b"", *parts)}
    assert shown not in made


def test_a_parity_key_that_could_be_guessed_is_refused():
    with pytest.raises(SettingsError, match="PARITY_KEY: too short"):
        Settings.from_environ({"PARITY_KEY": "hunter2"})


async def ask(plane, body, headers=KEY):
    return await plane.client.post("/parity", content=body, headers=headers)


async def test_two_planes_with_keys_of_their_own_compare_by_the_parity_key(
    tmp_path, run_plane, told
):
    common = {"PARITY_KEY": SHARED}
    body = json.dumps({"nonce": NONCE.hex()})
    async with (
        run_plane(told(tmp_path / "a", **common, PLANE_ID="phala")) as one,
        run_plane(told(tmp_path / "b", **common, AGENT_SERVER_API_KEY="other")) as two,
    ):
        left = (await ask(one, body)).json()
        right = (await ask(two, body, {"x-agent-api-key": "other"})).json()
        echoed = (await ask(one, body)).text
    assert (left["keyedBy"], left["keyCheck"]) == ("PARITY_KEY", right["keyCheck"])
    assert left["same"] == right["same"]
    assert not [secret for secret in (SHARED, NONCE.hex(), "test-key") if secret in echoed]


async def test_without_any_key_there_is_no_fingerprint(tmp_path, run_plane, told):
    async with run_plane(told(tmp_path, AGENT_SERVER_API_KEY="")) as plane:
        answer = await ask(plane, json.dumps({"nonce": NONCE.hex()}), {})
    assert (answer.status_code, answer.json()["code"]) == (503, "no_parity_key")


@pytest.mark.asyncio(loop_scope="module")
async def test_a_nonce_that_is_none_is_refused(bare):
    for body in (b"", b"{}", b'{"nonce": 7}', b'{"nonce": "ab"}', b'{"nonce": null}'):
        answer = await ask(bare, body)
        assert answer.status_code == 400
        assert answer.json()["code"] in {"invalid_json", "invalid_request"}
