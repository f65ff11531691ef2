"""Planes that lie, stall, flood and repeat what they heard: each is named, none passes, none leaks.

A hostile plane stands where the fallback should be, in front of everything that a preflight asks.
"""

import asyncio
import hmac
import json

import pytest

from cli.hands import hand
from conductor.doubles import DEMO, DEMO_TEXT, PHASED, Peer, http
from conductor.test_preconditions import CHECKS, HEALTH, Whole, guarded, health, look, routes
from conductor.test_preconditions_judged import SAID, TOLD
from cutover.conductor.preconditions import look as looking
from cutover.conductor.preconditions.environment import COMPARED, OWN
from cutover.runbook.gate import Check

READY = {"ready": True, "reasons": []}
KEY = "PLANTED-key-of-hetzner-0123456789"
OTHER_KEY = "PLANTED-key-of-phala-9876543210"
FINGERPRINTS = {
    **TOLD,
    "same": {name: {"set": True, "fingerprint": "0f" * 32} for name in COMPARED},
    "own": {name: {"set": True} for name in OWN},
}


def page(body=b"<html>welcome</html>", media="text/html; charset=utf-8", status=200):
    """A whole answer of another kind of content."""
    return http(status, body, f"content-type: {media}\r\n")


async def stalls(_):
    await asyncio.sleep(30)


@pytest.fixture
def hurry(monkeypatch):
    """Nobody waits five seconds for who never answers."""

    def hurried(answer):
        assert looking.DEADLINE_MS == 5_000
        if answer is stalls:
            monkeypatch.setattr(looking, "DEADLINE_MS", 500)

    return hurried


CUT = b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{"
ENDPOINTS = [
    ("GET /ready", page(), "/ready 200 as text/html, expected JSON"),
    ("GET /ready", page(json.dumps(READY).encode()), "/ready 200 as text/html, expected JSON"),
    ("GET /ready", (200, b"<html>welcome</html>"), "/ready 200 without JSON"),
    ("GET /ready", (200, []), "/ready 200 without JSON"),
    ("GET /ready", (200, {"ok": True}), "/ready says no `ready`"),
    ("GET /ready", http(301, b"", "location: /r\r\n"), "/ready 301, expected 200 or 503: redir"),
    ("GET /ready", (200, {"ready": True, "x": "y" * 300_000}), "answer of more than 262144 bytes"),
    ("GET /ready", stalls, "/ready no whole answer within 500 ms"),
    ("GET /ready", CUT, "/ready RemoteProtocolError: what comes is no"),
    ("GET /ready", b"SSH-2.0-OpenSSH\r\n", "/ready RemoteProtocolError: what comes is no"),
    ("GET /ready", http(200, b"x", "content-encoding: gzip\r\n"), "answer in 'gzip' coding"),
    ("GET /health", page(), "/health 200 as text/html"),
    ("GET /health", (200, {"status": "healthy"}), "/health lists no `status` and `services`"),
    ("GET /health", (200, {**HEALTH, "status": 1}), "/health lists no `status` and `services`"),
    ("GET /health", (403, {}), "/health 403, expected 200: the key"),
    ("POST /canary/run", page(), "/canary/run 200 as text/html"),
    ("POST /canary/run", (401, {}), "/canary/run 401, expected 200 or 503: the key"),
    ("POST /canary/run", (200, {"ok": True}), "/canary/run gives no verdict"),
    ("POST /canary/run", (500, {"ok": True, "checks": CHECKS}), "/canary/run 500, expected"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "answer", "text"), ENDPOINTS, ids=[e[2] for e in ENDPOINTS])
async def test_what_is_no_endpoint_is_named(hurry, path, answer, text):
    """By path, with what came and what was expected; a status alone is no answer."""
    hurry(answer)
    seen = await look(Check.ENDPOINTS_REACHABLE, DEMO, first={path: answer})
    assert seen.ok is False
    assert "hetzner: " in seen.reasons[0]
    assert text in seen.reasons[0]


async def test_json_of_a_kind_or_of_no_kind_is_an_endpoint():
    """What names itself a kind of JSON, or nothing, is read."""
    for media in ("application/json; charset=utf-8", "application/problem+json", ""):
        head = f"content-type: {media}\r\n" if media else ""
        answer = {"GET /ready": lambda _, head=head: http(200, json.dumps(READY).encode(), head)}
        assert (await look(Check.ENDPOINTS_REACHABLE, DEMO, first=answer)).ok is True


def door(fits):
    """`/process` with a comparison of its own."""

    def answer(request):
        given = request.headers.get("x-agent-api-key")
        return (200, {"response": "help"}) if fits(given) else (401, {"error": "Unauthorized"})

    return {"POST /process": answer}


DOORS = [
    (lambda given: True, ["no key", "an empty key", "a wrong key", "in other letters"]),
    (lambda given: given is not None, ["an empty key", "a wrong key"]),
    (bool, ["a wrong key", "in other letters", "a part", "more behind"]),
    (lambda given: (given or "").lower() == "right", ["in other letters"]),
    (lambda given: bool(given) and "right".startswith(given), ["a part of its key"]),
    (lambda given: (given or "").startswith("right"), ["with more behind it"]),
    (lambda given: len(given or "") == 5, ["in other letters"]),
    (lambda given: given in ("right", ""), ["an empty key"]),
]


@pytest.mark.parametrize(("fits", "words"), DOORS)
async def test_a_door_that_a_wrong_key_opens_is_named(fits, words):
    """With the key that opened it, in words and never in letters."""
    seen = await look(Check.ENVIRONMENT_PARITY, DEMO, first=door(fits))
    assert seen.ok is False
    said = "\n".join(reason for reason in seen.reasons if "expected 401" in reason)
    assert [word for word in words if word not in said] == []
    assert "phala" not in said


@pytest.mark.parametrize("status", [401, 403, 500, 302])
async def test_a_door_that_is_shut_to_everybody_is_no_lock(status):
    """401 to a wrong key says something only when the right one is let in."""
    shut = {"POST /process": (status, {"error": "Unauthorized"})}
    seen = await look(Check.ENVIRONMENT_PARITY, DEMO, first=shut)
    assert seen.ok is False
    assert f"hetzner answers {status} to its own key, expected 200" in "; ".join(seen.reasons)


class Liar(Whole):
    """A plane that answers `/identity` with what is asked, changed as told."""

    def __init__(self, named, **changes):
        super().__init__(routes())
        self.named, self.changes = named, {"plane": named, **changes}

    def get(self, route, default=None):
        if route.startswith("GET /identity"):
            nonce = route.partition("nonce=")[2]
            return 200, {**SAID, "nonce": nonce, **self.changes}
        if route == "POST /parity":
            return 200, {**FINGERPRINTS, "plane": self.named}
        return super().get(route, default)


def near(**changes):
    return {**SAID["near"], **changes}


SECOND = {"near": near(publicKey="ed25519:" + "5" * 44)}
LIES = [
    ({}, True, "each plane signs with a NEAR key of its own"),
    ({"plane": "phala"}, False, "answered by a plane of another name"),
    ({"nonce": "ab" * 32}, False, "/identity repeats another nonce"),
    ({"mode": "development"}, False, "AGENT_MODE='development'"),
    ({"near": None}, False, "hetzner has no NEAR key"),
    ({"near": near(**SECOND["near"])}, False, "both planes sign with one NEAR key"),
    ({"near": near(account="b.near")}, False, "different accounts"),
    ({"ingressOwner": ""}, False, "INGRESS_OWNER is not set"),
    ({"ingressOwner": "hetzner"}, False, "http has two owners: 'hetzner' by hetzner"),
    ({"ingressOwner": "Gateway"}, False, "http has two owners"),
    ({"ingressOwner": "http=gateway,webhook=gateway,poller=hetzner"}, False, "names not each"),
    ({"imageDigest": "sha256:" + "G" * 64}, None, "in a form that is not agreed"),
    ({"v": 2}, None, "answers in version 2"),
    ({"near": {"publicKey": KEY}}, None, "in a form that is not agreed"),
    ({"ingressOwner": "x" * 201}, None, "in a form that is not agreed"),
]


@pytest.mark.parametrize(("changes", "ok", "text"), LIES)
async def test_a_plane_that_lies_about_itself_is_named(changes, ok, text):
    """Its name, its nonce, its mode, its signer, its ways in, its form."""
    first, second = Liar("hetzner", **changes), Liar("phala", **SECOND)
    seen = await look(Check.ENVIRONMENT_PARITY, PHASED, first=first, second=second)
    assert seen.ok is ok, seen.reasons
    assert text in "; ".join(seen.reasons)


@pytest.mark.parametrize(
    ("owner", "text"),
    [
        ("hetzner", "http belongs to 'hetzner', expected 'gateway'"),
        ("none", "http belongs to 'none', expected 'gateway'"),
        ("http=gateway,webhook=gateway,poller=stranger,cron=none", "poller belongs to 'stranger'"),
    ],
)
async def test_one_owner_on_both_is_not_enough_when_it_is_the_wrong_one(owner, text):
    """Both planes agree, and the split would be passed by, or nobody known feeds them."""
    first = Liar("hetzner", ingressOwner=owner)
    second = Liar("phala", ingressOwner=owner, **SECOND)
    seen = await look(Check.ENVIRONMENT_PARITY, PHASED, first=first, second=second)
    assert seen.ok is False
    assert text in "; ".join(seen.reasons)


@pytest.mark.parametrize(
    "answer",
    [page(), http(302, b"", "location: /x\r\n"), stalls, (500, {})],
    ids=["page", "redirect", "silence", "fault"],
)
async def test_whatever_comes_instead_of_an_identity_never_passes(hurry, answer):
    """Nor instead of fingerprints; a rehearsal believes none of it either."""
    hurry(answer)
    for route in ("GET /identity", "POST /parity"):

        class Broken(Liar):
            def get(self, asked, default=None, route=route):
                return answer if asked.startswith(route) else super().get(asked, default)

        second = Liar("phala", **SECOND)
        seen = await look(Check.ENVIRONMENT_PARITY, DEMO, first=Broken("hetzner"), second=second)
        assert seen.ok is None, seen.reasons


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (health(version=None, build="r"), "expected the same version and build"),
        ({"GET /health": page()}, "expected the same version and build"),
        (health(build=KEY * 40), "expected the same version and build"),
    ],
)
async def test_a_health_that_says_nothing_makes_no_images_equal(change, text):
    """And what it says is cut short."""
    digests = ("a@sha256:" + "a" * 64,) * 2
    seen = await look(Check.IDENTICAL_IMAGE, PHASED, digests, first=change)
    assert seen.ok is False
    assert text in seen.reasons[0]
    assert len(seen.reasons[0]) < 300


CONFIG = """\
[planes.hetzner]
url = "{}"
key = "PLANTED-key-of-hetzner-0123456789"
[planes.phala]
url = "{}"
key = "PLANTED-key-of-phala-9876543210"
[conductor]
data = "run"
"""


def parrot(request):
    """A plane that repeats the key it was sent, where an error of the connection shows it."""
    return f"HTTP/9 {request.headers.get('x-agent-api-key')} \r\n\r\n".encode()


class Parrot(dict):
    """Says, wherever a plane says anything, the key that it has heard."""

    def __init__(self, key):
        super().__init__(routes(**{"POST /process": guarded(key)}))
        self["GET /health"] = (200, {**HEALTH, "version": key, "build": key})
        self["POST /canary/run"] = parrot
        self.key = key

    def get(self, route, default=None):
        if route.startswith("GET /identity"):
            said = {"mode": self.key, "ingressOwner": self.key, "plane": "hetzner"}
            return 200, {**SAID, "nonce": route.partition("nonce=")[2], **said}
        if route == "POST /parity":
            return 200, {**FINGERPRINTS, "plane": "hetzner"}
        return super().get(route, default)


async def test_a_plane_that_repeats_its_key_makes_nobody_print_it(
    tmp_path, monkeypatch, capsys, caplog
):
    """Neither in text nor as JSON, nor in the refusal of a run, which leaves nothing behind."""
    (tmp_path / "demo.toml").write_text(
        DEMO_TEXT.replace('\nevidence = "verified"', '\nevidence = "reported"')
    )
    async with Peer(Parrot(KEY)) as first, Peer(Liar("phala", **SECOND)) as second:
        second.routes["POST /process"] = guarded(OTHER_KEY)
        (tmp_path / "c.toml").write_text(CONFIG.format(first.url, second.url))
        words = (tmp_path / "demo.toml", "--config", tmp_path / "c.toml")
        for verb, form, code in (
            ("preflight", (), 1),
            ("preflight", ("--json",), 1),
            ("run", (), 3),
        ):
            found = await asyncio.to_thread(hand, monkeypatch, capsys, verb, *words, *form)
            assert found.code == code, found.all
            assert "hetzner" in found.all
            assert "<secret planes.hetzner>" in found.all
            for secret in (KEY, OTHER_KEY):
                assert secret not in found.all + caplog.text
                assert secret[:20] not in found.all
    heard = [one.headers.get("x-agent-api-key", "") for one in first.seen]
    assert any(hmac.compare_digest(one, KEY) for one in heard)
    assert not (tmp_path / "run").exists()
