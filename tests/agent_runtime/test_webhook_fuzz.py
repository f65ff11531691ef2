"""No webhook takes what its sender has not signed, and none breaks over what it has."""

import hashlib
import hmac
import json
import time

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.asyncio(loop_scope="module")
SECRETS = {"pingpay": b"ping-secret", "github": b"github-secret", "farcaster": b"cast-secret"}
BOT = 777
SEED = 20261124
QUIET = {
    "deadline": None,
    "database": None,
    "phases": (Phase.explicit, Phase.generate),
    "suppress_health_check": list(HealthCheck),
}
MEMBERS = st.sampled_from(
    ["id", "type", "event", "data", "created_at", "hash", "author", "fid", "text", "repository",
     "full_name", "installation", "changes", "mentioned_profiles", "parent_author"]
)  # fmt: skip
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(st.characters(), max_size=12)
    | st.sampled_from(["cast.created", "0x" + "ab" * 20, "acme/widgets", "\ud800", BOT])
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(MEMBERS, inner, max_size=5),
    max_leaves=8,
)
BODIES = st.binary(max_size=200) | TREES.map(lambda value: json.dumps(value).encode())
HOOKS = st.sampled_from(sorted(SECRETS))
TWISTS = st.sampled_from(
    ["none", "drawn", "secret", "body", "cut", "empty key", "reversed", "twice", "other scheme"]
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hooked(tmp_path_factory, told, run_plane_of_module):
    more = {
        "PING_PAY_WEBHOOK_SECRET": "ping-secret",
        "GITHUB_WEBHOOK_SECRET": "github-secret",
        "FARCASTER_WEBHOOK_SECRET": "cast-secret",
        "FARCASTER_BOT_FID": str(BOT),
        "NEYNAR_API_KEY": "key",
        "NEYNAR_SIGNER_UUID": "signer",
        "NEYNAR_API_BASE": "http://127.0.0.1:1",  # nobody takes replies here
    }
    async with run_plane_of_module(told(tmp_path_factory.mktemp("hooked"), **more)) as plane:
        yield plane


def mac(hook, body, stamp, secret=None):
    """The signature of a hook's sender, spelled a second time."""
    key = SECRETS[hook] if secret is None else secret
    if hook == "pingpay":
        return hmac.new(key, stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    if hook == "github":
        return "sha256=" + hmac.new(key, body, hashlib.sha256).hexdigest()
    return hmac.new(key, body, hashlib.sha512).hexdigest()


async def post(plane, hook, body, signature, stamp):
    headers = {
        "pingpay": {"x-ping-signature": signature, "x-ping-timestamp": stamp},
        "github": {
            "x-hub-signature-256": signature,
            "x-github-event": "push",
            "x-github-delivery": hashlib.sha256(body).hexdigest(),
        },
        "farcaster": {"x-neynar-signature": signature},
    }[hook]
    sent = [(name.encode(), text.encode("latin-1")) for name, text in headers.items()]
    return await plane.client.post(f"/webhook/{hook}", content=body, headers=sent)


def taken(plane):
    """How many deliveries and casts are on disk."""
    asked = "SELECT (SELECT count(*) FROM webhook_events), (SELECT count(*) FROM casts)"
    return plane.service.db.execute(asked).fetchone()


@seed(SEED)
@settings(max_examples=200, **QUIET)
@given(
    hook=HOOKS,
    body=BODIES,
    drawn=st.text(
        st.characters(min_codepoint=33, max_codepoint=255, exclude_characters="\x7f"), max_size=140
    ),
    twist=TWISTS,
)
async def test_nothing_with_a_bad_signature_is_taken(hooked, hook, body, drawn, twist):
    stamp, before = str(int(time.time())), taken(hooked)
    good = mac(hook, body, stamp)
    signature = {
        "none": "",
        "drawn": drawn,
        "secret": mac(hook, body, stamp, SECRETS[hook] + b"2"),
        "body": mac(hook, body + b"\0", stamp),
        "cut": good[:-1],
        "empty key": mac(hook, body, stamp, b""),
        "reversed": good[::-1],
        "twice": f"{good},{good}",
        "other scheme": hmac.new(SECRETS[hook], body, hashlib.sha1).hexdigest(),
    }[twist]
    answer = await post(hooked, hook, body, signature, stamp)
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_signature")
    assert taken(hooked) == before


@seed(SEED)
@settings(max_examples=110, **QUIET)
@given(hook=HOOKS, body=BODIES, shift=st.integers(-400, 400))
async def test_nothing_that_is_signed_breaks_a_webhook(hooked, hook, body, shift):
    stamp = str(int(time.time()) + shift)
    answer = await post(hooked, hook, body, mac(hook, body, stamp), stamp)
    assert answer.status_code in {200, 400, 401}, answer.text
    if answer.status_code == 401:
        assert answer.json()["code"] in {"stale_delivery", "replayed_delivery"}


@seed(SEED)
@settings(max_examples=60, **QUIET)
@given(
    data=st.fixed_dictionaries(
        {
            "hash": st.sampled_from(["0x" + "ab" * 20, "0x" + "AC" * 20]) | LEAVES,
            "author": st.fixed_dictionaries({"fid": st.integers(1, 9) | LEAVES}) | LEAVES,
            "text": st.text(max_size=30) | LEAVES,
            "mentioned_profiles": st.just([{"fid": BOT}]) | TREES,
        }
    ),
    age=st.sampled_from([0, 0, 3_500, 3_700, -400]) | LEAVES,
)
async def test_no_cast_breaks_the_bot_and_an_old_one_is_refused(hooked, data, age):
    whole = isinstance(age, int) and not isinstance(age, bool)
    created = int(time.time()) - age if whole else age
    event = {"created_at": created, "type": "cast.created", "data": data}
    body = json.dumps(event).encode()
    answer = await post(hooked, "farcaster", body, mac("farcaster", body, ""), "")
    assert answer.status_code in {200, 400, 401}, answer.text
    if answer.status_code == 200:
        assert whole
        assert -301 <= age <= 3_600


async def test_the_same_requests_well_signed_are_taken(hooked):
    """What the tests above refuse, they do not refuse for another reason."""
    stamp, now = str(int(time.time())), int(time.time())
    cast = {"hash": "0x" + "ee" * 20, "author": {"fid": 3}, "text": "help"}
    event = {"created_at": now, "type": "cast.created", "data": cast}
    cast["mentioned_profiles"] = [{"fid": BOT}]
    before = taken(hooked)
    for hook in SECRETS:
        body = json.dumps({**event, "id": f"whevt-{hook}"}).encode()
        answer = await post(hooked, hook, body, mac(hook, body, stamp), stamp)
        assert answer.status_code == 200, answer.text
    events, casts = taken(hooked)
    assert (events - before[0], casts - before[1]) == (3, 1)
