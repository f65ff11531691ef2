"""An attested plane: what it serves is judged by the verifier, over the channel that it proves."""

import asyncio
import contextlib
import json
import secrets
import ssl
import time

import httpx
import pytest
import pytest_asyncio

from agent_runtime import dstack
from agent_runtime.attestation import attestor, turnstile
from attestation.world import SEED, codes, collateral, policy_text, root
from cutover.attestation.bundle import Asked, Nonce, parse_bundle
from cutover.attestation.fetch import NoAnswerError, NoEvidenceError, fetch_evidence
from cutover.attestation.policy_file import load_policy
from cutover.attestation.verdict import Verdict
from cutover.attestation.verifier import verify
from cutover.pinned import PinError, PinnedContext, spki_sha256
from sandbox.faults import Rule
from sandbox.tee.boot import Boot
from sandbox.tee.machine import Machine
from sandbox.tee.serve import ServedMachine, Where

PATH = "/.well-known/attestation"
NONCE = "5a" * 32
CROWD = 40


@contextlib.asynccontextmanager
async def serving(folder, **boot):
    """A machine of the test root, its guest agent on a Unix socket."""
    machine = Machine(SEED, Boot(**boot), nonce="n")
    async with ServedMachine(machine, Where("t", uds=folder / "dstack.sock")).running() as served:
        yield served


def environ(folder, served, **more):
    return {
        "HOST": "127.0.0.1",
        "PORT": "0",
        "PLANE_ID": "phala",
        "BUILD_REVISION": "r1",
        "PAYMENTS_DB": str(folder / "payments.db"),
        "AGENT_LOG_DIR": str(folder / "logs"),
        "DSTACK_ENDPOINT": served.url,
        "AGENT_TLS": "attested",
        **more,
    }


class Pair:
    """An attested plane and the guest agent beside it."""

    def __init__(self, plane, served):
        self.plane, self.served = plane, served
        self.client, self.url = plane.client, str(plane.client.base_url)

    @contextlib.contextmanager
    def fault(self, **rule):
        self.served.faults.replace([Rule(service="guest", **rule)])
        try:
            yield
        finally:
            self.served.faults.clear()

    async def ask(self, nonce=NONCE):
        # A test is no crowd; the one about crowds fills the bucket itself.
        self.plane.service.attestor._turnstile = turnstile.Turnstile()
        return await self.client.get(PATH, params={"nonce": nonce})

    async def judge(self, purposes='["signing"]'):
        """The verdict on what is served for a nonce just drawn, over a connection of its own."""
        machine, nonce = self.served.machine, secrets.token_bytes(32)
        self.plane.service.attestor._turnstile = turnstile.Turnstile()
        found = await fetch_evidence(self.url, nonce, 5_000)
        now = int(time.time())
        asked = Asked(
            now=now,
            nonce=Nonce(nonce, now),
            peer_spki=found.peer_spki,
            peer_ends=found.peer_ends,
            root=root(),
        )
        rules = policy_text(machine).replace('["near", "signing"]', purposes)
        papers = collateral(machine, now)
        return verify(parse_bundle(found.raw), papers, load_policy(rules, "p"), asked)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pair(tmp_path_factory, run_plane_of_module):
    """One for the tests of this module; each bends it only while it looks."""
    folder = tmp_path_factory.mktemp("attested")
    async with serving(folder) as served, run_plane_of_module(environ(folder, served)) as plane:
        yield Pair(plane, served)


module_loop = pytest.mark.asyncio(loop_scope="module")


@module_loop
async def test_what_it_serves_is_verified_over_the_channel_that_it_names(pair):
    verdict = await pair.judge()
    assert verdict.verdict is Verdict.VERIFIED, codes(verdict)
    body = (await pair.ask()).json()
    spki = json.loads(body["statement"])["tls_spki"]
    assert body["keys"]["tls_spki_sha256"] == spki == pair.plane.service.attestor.spki
    async with httpx.AsyncClient(verify=PinnedContext(spki), trust_env=False) as pinned:
        assert (await pinned.get(pair.url + "/health")).status_code == 200
    async with httpx.AsyncClient(verify=PinnedContext("00" * 32), trust_env=False) as pinned:
        with pytest.raises((httpx.ConnectError, PinError)):
            await pinned.get(pair.url + "/health")


@module_loop
async def test_the_statement_speaks_of_this_plane_for_a_quarter_of_an_hour(pair):
    before = int(time.time())
    said = json.loads((await pair.ask()).json()["statement"])
    facts = pair.served.machine.facts()
    assert (said["plane"], said["release"], said["nonce"]) == ("phala", "r1", NONCE)
    assert (said["app"], said["instance"]) == (facts["app_id"], facts["instance_id"])
    assert before + 900 <= said["expires"] <= time.time() + 900


@module_loop
async def test_a_question_asked_twice_is_answered_with_two_quotes(pair):
    before = pair.served.calls["guest.GetQuote"]
    answers = [await pair.ask(), await pair.ask()]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert all(answer.headers["cache-control"] == "no-store" for answer in answers)
    assert pair.served.calls["guest.GetQuote"] - before >= 2


@module_loop
@pytest.mark.parametrize(
    "query",
    ["", "nonce=", "nonce=5a", f"nonce={'5A' * 32}", f"nonce={NONCE}0", f"nonce={'g' * 64}",
     f"nonce={NONCE}&nonce={NONCE}", f"nonce={NONCE}%0a"],
)  # fmt: skip
async def test_a_question_without_one_good_nonce_is_refused(pair, query):
    answer = await pair.client.get(f"{PATH}?{query}")
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_nonce")


@module_loop
@pytest.mark.parametrize(
    "rule",
    [
        {"kind": "status", "operation": "GetQuote"},
        {"kind": "status", "operation": "Info", "status": 400},
        {"kind": "hang", "operation": "GetQuote"},
        {"kind": "half", "operation": "GetQuote"},
        {"kind": "reset", "operation": "GetQuote"},
        {"kind": "wrong", "operation": "GetQuote", "variant": "html"},
        {"kind": "wrong", "operation": "GetQuote", "variant": "no_quote"},
        {"kind": "wrong", "operation": "GetQuote", "variant": "oversized"},
    ],
    ids=lambda rule: "-".join(str(value) for value in rule.values()),
)
async def test_without_a_quote_nothing_is_known_and_it_says_so(pair, monkeypatch, rule):
    monkeypatch.setattr(dstack, "QUOTE_SECONDS", 0.2)
    with pair.fault(**rule):
        answer = await pair.ask()
        assert (answer.status_code, answer.json()["code"]) == (503, "guest_agent_unavailable")
        with pytest.raises(NoAnswerError):
            await pair.judge()


@module_loop
@pytest.mark.parametrize("lie", ["replayed", "other_app", "patched_report_data", "forged_compose"])
async def test_a_lie_of_the_agent_is_passed_on_and_found_out(pair, lie):
    with pair.fault(kind="wrong", operation="GetQuote", variant=lie):
        assert (await pair.judge()).verdict is Verdict.INVALID


@module_loop
async def test_evidence_that_nobody_would_read_is_not_sent(pair, monkeypatch):
    monkeypatch.setattr(attestor, "ANSWER_MAX_BYTES", 1000)
    assert (await pair.ask()).status_code == 503


@module_loop
async def test_a_crowd_is_told_when_to_come_again(pair):
    """No more are served than the bucket held and has got since; each of the others hears when."""
    with pair.fault(kind="latency_ms", operation="GetQuote", latency_ms=50):
        await pair.ask()
        began = time.monotonic()
        many = [pair.client.get(PATH, params={"nonce": NONCE}) for _ in range(CROWD)]
        answers = await asyncio.gather(*many)
        seconds = time.monotonic() - began
    served = [answer for answer in answers if answer.status_code == 200]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert len(served) + len(refused) == CROWD
    assert 1 <= len(served) <= turnstile.BURST + turnstile.RATE_PER_SECOND * seconds
    for answer in refused:
        assert int(answer.headers["retry-after"]) >= 1
        assert set(answer.json()) == {"error", "code"}


@module_loop
async def test_nothing_older_than_tls_1_3_gets_in(pair):
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    async with httpx.AsyncClient(verify=old, trust_env=False) as client:
        with pytest.raises(httpx.ConnectError):
            await client.get(pair.url + "/health")
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get(pair.url.replace("https", "http") + "/health")


async def test_a_plane_without_tls_of_its_own_has_no_evidence(tmp_path, run_plane):
    """A guest agent is there, but a quote would say nothing about who answers here."""
    async with serving(tmp_path) as served:
        told = environ(tmp_path, served, AGENT_TLS="off")
        async with run_plane(told) as plane:
            answer = await plane.client.get(PATH, params={"nonce": NONCE})
            assert (answer.status_code, answer.json()["code"]) == (404, "no_attestation")
            with pytest.raises(NoEvidenceError):
                await fetch_evidence(str(plane.client.base_url), bytes(32), 5_000)
            assert "attestation" not in (await plane.client.get("/")).json()["endpoints"]


async def test_a_plane_may_have_no_wallet_and_its_certificate_other_names(tmp_path, run_plane):
    """Told so: no key in the evidence; the names are in the certificate, the key is the same."""
    more = {"AGENT_WALLET_PURPOSES": "none", "AGENT_TLS_NAMES": "localhost,127.0.0.1"}
    async with serving(tmp_path) as served, run_plane(environ(tmp_path, served, **more)) as plane:
        two = Pair(plane, served)
        assert (await two.ask()).json()["keys"]["wallets"] == []
        assert (await two.judge()).verdict is Verdict.INVALID  # the policy asks for one
        port = plane.client.base_url.port
        pem = await asyncio.to_thread(ssl.get_server_certificate, ("127.0.0.1", port))
        trusting = ssl.create_default_context(cadata=pem)
        async with httpx.AsyncClient(verify=trusting, trust_env=False) as client:
            assert (await client.get(f"https://127.0.0.1:{port}/")).status_code == 200
            assert (await client.get(f"https://localhost:{port}/")).status_code == 200
        assert spki_sha256(ssl.PEM_cert_to_DER_cert(pem)) == plane.service.attestor.spki
