"""Preflight of a production runbook over real sockets: all holds; then each thing is broken."""

import asyncio
import contextlib
import datetime as dt
import functools
import json
import os
import signal
import sys
from dataclasses import replace

import httpx
import pytest

from agent_runtime.main import Server
from agent_runtime.settings import Settings
from agent_runtime.wiring import build
from cli.hands import hand
from conductor.preflight_world import DIGEST, IMAGE, RUNBOOK, TlsEnd, World, certificate, until
from cutover.app import load_runbook
from cutover.conductor.preconditions.deployment import deployment
from cutover.conductor.preconditions.look import LIMITS
from cutover.deployed import plane_access
from cutover.errors import ConfigurationError
from cutover.evidence.planes import Answer
from cutover.journal.store import Journal
from cutover.preflight import preflight
from cutover.runbook.gate import Check
from deploy.engine import PATH, container, image
from sandbox.near.keys import KeyPair

pytestmark = pytest.mark.xdist_group("preflight")  # one world for all of them
PHASED = load_runbook(RUNBOOK)
OTHER = "sha256:" + "0b" * 32
LIMIT = "173.25"
"""A value that one plane alone has; nobody may be told."""


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with World(tmp_path_factory.mktemp("preflight")) as found, pytest.MonkeyPatch.context() as env:
        env.setenv("SSL_CERT_FILE", str(found.tls.pem))
        yield found


def look(world, check, settings):
    """One precondition of the runbook."""
    only = tuple(pre for pre in PHASED.preconditions if pre.check is check)
    (found,) = preflight(replace(PHASED, preconditions=only), settings).looks
    world.said += [finding.text for finding in found.findings]
    return found


def said(found, ok):
    """What findings of that kind say."""
    return "\n".join(finding.text for finding in found.findings if finding.ok is ok)


@contextlib.asynccontextmanager
async def fallback(world, **changes):
    """The fallback's runtime once more, told something else; yields the configuration with it."""
    env = {**world.environment("hetzner"), "PAYMENTS_DB": str(world.folder / "other.db"), **changes}
    server = Server(build(Settings.from_environ(env)))
    task = asyncio.create_task(server.serve())
    try:
        async with asyncio.timeout(10):
            while not server.started:
                assert not task.done()
                await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield world.settings((world.tls.url, f"http://127.0.0.1:{port}"))
    finally:
        server.should_exit = True
        await task


class TestAllHolds:
    def test_every_precondition_with_its_evidence(self, world, monkeypatch, capsys):
        """Exit 0; each check, and below it what it rests on."""
        words = ("preflight", RUNBOOK, "--config", world.config)
        found = hand(monkeypatch, capsys, *words)
        world.said.append(found.all)
        assert found.code == 0, found.all
        for check in Check:
            assert f"{check}: holds" in found.out
        for evidence in (
            "attestation of phala: verified",
            f"hetzner: {DIGEST} by its declared image",
            f"phala: {DIGEST} by its attested compose file",
            "variables compared under one nonce are the same",
            "answers 401 to a wrong key",
            "http belongs to gateway alone",
            "is on the chain and may pay",
            "certificate under the attested key",
            "gateway: certificate by an authority of",
        ):
            assert evidence in found.out
        assert found.out.endswith("preflight: holds\n")
        assert not world.data.exists()

    def test_as_json(self, world, monkeypatch, capsys):
        """The same as one document."""
        words = ("preflight", RUNBOOK, "--config", world.config, "--json")
        found = hand(monkeypatch, capsys, *words)
        world.said.append(found.all)
        document = json.loads(found.out)
        assert (found.code, document["verdict"]) == (0, "holds")
        assert [one["check"] for one in document["preconditions"]] == list(Check)
        assert document["attestation"]["verdict"] == "verified"
        verdicts = [f["verdict"] for one in document["preconditions"] for f in one["findings"]]
        assert set(verdicts) == {"holds"}
        assert len(verdicts) > 20


@pytest.mark.parametrize(
    ("changes", "ok", "text"),
    [
        ([(IMAGE, f"images.example/agent@{OTHER}")], False, "the digests differ"),
        ([(f'image = "{IMAGE}"', "")], None, "declare planes.hetzner.image"),
        ([(f'image = "{IMAGE}"', 'compose = "c.yaml"')], True, "by c.yaml, service agent"),
        (
            [(f'image = "{IMAGE}"', 'compose = "c.yaml"\nservice = "patched"')],
            False,
            "c.yaml, service patched has command, so the digest does not say what runs",
        ),
    ],
)
def test_another_image_is_named(world, changes, ok, text):
    """By record or compose file against what is attested: what differs or lacks is named."""
    service = f"services:\n  agent:\n    image: {IMAGE}\n"
    service += f"  patched:\n    image: {IMAGE}\n    command: /data/other\n"
    (world.folder / "c.yaml").write_text(service)
    found = look(world, Check.IDENTICAL_IMAGE, world.settings(*changes))
    assert found.ok is ok
    assert text in said(found, ok)


def recorded(world, age_s=0, **changes):
    """What the engine of the fallback would tell, in a file, and the setting that names it."""
    running, made = container(**changes), image(RepoDigests=[IMAGE])
    running["Config"] |= {"Image": IMAGE, "Env": [PATH]}
    up = httpx.get(f"http://127.0.0.1:{world.port('hetzner')}/health").json()["uptime"]
    now = dt.datetime.now(dt.UTC)
    running["State"]["StartedAt"] = (now - dt.timedelta(milliseconds=up)).isoformat()
    taken = (now - dt.timedelta(seconds=age_s)).isoformat()
    told = {"takenAt": taken, "container": running, "image": made}
    (world.folder / "hetzner.record.json").write_text(json.dumps(told))
    return world.settings((f'image = "{IMAGE}"', 'record = "hetzner.record.json"'))


@pytest.mark.parametrize(
    ("changes", "ok", "text"),
    [
        ({}, True, f"hetzner: {DIGEST} by hetzner.record.json"),
        ({}, True, "hetzner: who answers began with the recorded container"),
        ({}, True, "the labels of its image fit what it says: build r1"),
        ({"age_s": 3_700}, None, "hetzner.record.json is 61 min old, expected at most 60"),
        ({"Cmd": ["--debug"]}, False, "the command is changed, so the digest does not say"),
        ({"Mounts": [{"Destination": "/opt/agent/lib"}]}, False, "a mount at '/opt/agent/lib'"),
    ],
)
def test_the_engine_s_record_is_judged(world, changes, ok, text):
    """It vouches for the digest while it is young, and while nothing but the image runs."""
    found = look(world, Check.IDENTICAL_IMAGE, recorded(world, **changes))
    assert found.ok is ok
    assert text in said(found, ok)
    assert ("one digest on both" in said(found, ok=True)) is (ok is not None)


def test_a_record_that_is_renewed_is_read_anew(world):
    """The look after it finds what the file says then; what it cannot read then is unknown."""
    only = tuple(p for p in PHASED.preconditions if p.check is Check.IDENTICAL_IMAGE)
    (found,) = preflight(replace(PHASED, preconditions=only), recorded(world)).looks
    assert found.ok is True
    access = plane_access(recorded(world))["hetzner"]
    (world.folder / "hetzner.record.json").write_text("{")
    health = Answer(200, {"uptime": 1})
    seen = asyncio.run(deployment("hetzner", access, health, 0, LIMITS))
    assert (seen.image, [one.ok for one in seen.findings]) == ("", [None])


IMAGES = {"BUILD_REVISION": "r2", "IMAGE_DIGEST": OTHER}
VALUES = {
    "AGENT_MAX_PAYOUT_AMOUNT": LIMIT, "GITHUB_TOKEN": "", "HOT_PAY_JWT": "",
    "INGRESS_OWNER": "http=gateway,webhook=gateway,poller=hetzner,cron=gateway",
    "NEAR_PRIVATE_KEY": "phala's",
}  # fmt: skip
MODE = {"AGENT_MODE": "staging", "INGRESS_OWNER": "", "NEAR_PRIVATE_KEY": "fresh"}
OPEN = {"AGENT_MODE": "development", "AGENT_SERVER_API_KEY": "", "NEAR_PRIVATE_KEY": ""}
BROKEN = [
    (IMAGES, ["expected the same version and build", f"it says that it runs {OTHER}"]),
    (
        VALUES,
        [
            "AGENT_MAX_PAYOUT_AMOUNT differs", "GITHUB_TOKEN differs", "HOT_PAY_JWT differs",
            "services differ: hotpay", "both planes sign with one NEAR key",
            "poller has two owners: 'hetzner' by hetzner, 'gateway' by phala",
        ],
    ),
    (MODE, ["AGENT_MODE='staging'", "INGRESS_OWNER is not set", "is not on the chain (UNKNOWN_"]),
    (
        OPEN | {"NEAR_ACCOUNT_ID": ""},
        [
            "hetzner answers 200 to no key, expected 401", "hetzner has no NEAR key",
            "hetzner answers 200 to a wrong key, expected 401", "AGENT_SERVER_API_KEY is not set",
        ],
    ),
    ({"PARITY_KEY": "another-key-of-parity"}, []),
    ({"PLANE_ID": "spare"}, ["hetzner: /identity is answered by a plane of another name"]),
]  # fmt: skip


@pytest.mark.parametrize(("change", "texts"), BROKEN)
async def test_another_environment_is_named(world, change, texts):
    """By the variable, the way in, the key or the door; never by a value that is not public."""
    own = {
        "phala's": world.rails["planes"]["phala"]["env"]["NEAR_PRIVATE_KEY"],
        "fresh": KeyPair.from_seed(b"7" * 32).secret,
    }
    check = Check.IDENTICAL_IMAGE if change is IMAGES else Check.ENVIRONMENT_PARITY
    changes = {name: own.get(value, value) for name, value in change.items()}
    async with fallback(world, **changes) as settings:
        found = await asyncio.to_thread(look, world, check, settings)
    assert found.ok is (False if texts else None)
    fails = said(found, ok=False)
    assert [text for text in texts if text not in fails] == [], fails
    assert LIMIT not in str(found.findings)
    if not texts:
        assert "set the same PARITY_KEY on both" in said(found, ok=None)


async def test_a_declared_difference_is_named_and_holds(world):
    """And what was not declared still fails."""
    changes = {"AGENT_MAX_PAYOUT_AMOUNT": LIMIT, "AGENT_STRICT_PAY": "true"}
    async with fallback(world, **changes) as settings:
        may = settings.preconditions.model_copy(
            update={"may_differ": ("AGENT_MAX_PAYOUT_AMOUNT", "PORT")}
        )
        declared = settings.model_copy(update={"preconditions": may})
        found = await asyncio.to_thread(look, world, Check.ENVIRONMENT_PARITY, declared)
    assert said(found, ok=False) == "AGENT_STRICT_PAY differs"
    assert "may differ by declaration, and do: AGENT_MAX_PAYOUT_AMOUNT" in said(found, ok=True)


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        ({"days": 7}, "before the fallback window ends: renew it first"),
        ({"host": "127.0.0.9"}, "certificate is not valid for '127.0.0.1'"),
        (None, "certificate verify failed"),
    ],
)
def test_a_certificate_that_does_not_do_is_named(world, monkeypatch, wanted, text):
    """One that ends too early, is for another host, or that no authority vouches for."""
    end = TlsEnd(world.folder, world.port("hetzner"), **(wanted or {}))
    trusted = end.pem if wanted else certificate(world.folder, "stranger")
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    found = look(world, Check.TLS_AND_DOMAIN, world.settings((world.tls.url, end.url)))
    end.stop()
    assert found.ok is False
    assert text in said(found, ok=False)


def test_names_that_lead_nowhere_or_elsewhere_are_named(world):
    """A name without an address; the candidate under a name that its certificate has not."""
    changes = (
        (world.tls.url, "https://nowhere.invalid"),
        (world.phala_url, world.phala_url.replace("127.0.0.1", "localhost")),
    )
    found = look(world, Check.TLS_AND_DOMAIN, world.settings(*changes))
    assert found.ok is False
    assert "nowhere.invalid does not resolve" in said(found, ok=False)
    assert "expected localhost" in said(found, ok=False)


@pytest.mark.parametrize(
    ("entrance", "ok", "text"),
    [
        ("http://agents.invalid", False, "gateway is reached without TLS at agents.invalid"),
        ("http://127.0.0.1:8080", None, "which only this host can reach"),
        ("https://agents.invalid", False, "gateway: agents.invalid does not resolve"),
    ],
)
def test_where_users_arrive_is_named(world, monkeypatch, capsys, entrance, ok, text):
    """In the text and in the document; what is only local is called that, and is no pass."""
    config = world.folder / "entrance.toml"
    config.write_text(world.config.read_text().replace(world.entrance.url, entrance))
    for form in ((), ("--json",)):
        found = hand(monkeypatch, capsys, "preflight", RUNBOOK, "--config", config, *form)
        world.said.append(found.all)
        assert found.code == 1
        assert text in found.out
    verdicts = {one["check"]: one["verdict"] for one in json.loads(found.out)["preconditions"]}
    word = "fails" if ok is False else "could not be judged"
    assert verdicts == {**dict.fromkeys(Check, "holds"), Check.TLS_AND_DOMAIN: word}


def test_users_who_arrive_at_a_plane_are_refused(world):
    """A gateway at a plane's own address would split nobody."""
    settings = world.settings((world.entrance.url, world.phala_url))
    with pytest.raises(ConfigurationError, match=r"gateway.url: .* address of the plane 'phala'"):
        look(world, Check.TLS_AND_DOMAIN, settings)


def test_an_endpoint_that_nobody_serves_is_named(world):
    """With the plane and what happened instead."""
    dead = world.settings((world.tls.url, "https://127.0.0.1:1"))
    found = look(world, Check.ENDPOINTS_REACHABLE, dead)
    assert found.ok is False
    assert said(found, ok=False).startswith("hetzner: /ready ConnectError")


def test_without_proof_nothing_is_judged_and_that_is_no_pass(world, monkeypatch, capsys):
    """A lie of the machine: no check could be judged, exit 1, and the plane hears no key."""
    rule = {
        "service": "guest",
        "operation": "GetQuote",
        "kind": "wrong",
        "variant": "bad_signature",
    }
    world.control(world.tee, "PUT", "/faults", [rule])
    found = hand(monkeypatch, capsys, "preflight", RUNBOOK, "--config", world.config)
    world.control(world.tee, "PUT", "/faults", [])
    world.said.append(found.all)
    assert found.code == 1
    assert found.out.count(": could not be judged\n") == len(Check) + 1
    assert "attestation of phala: invalid" in found.out


class TestRun:
    def test_a_new_run_that_fails_is_not_begun(self, world, monkeypatch, capsys):
        """Exit 3, what fails, the word preflight; not even a directory is made."""
        broken = world.folder / "broken.toml"
        broken.write_text(world.config.read_text().replace(IMAGE, f"a@{OTHER}"))
        found = hand(monkeypatch, capsys, "run", RUNBOOK, "--config", broken)
        world.said.append(found.all)
        assert found.code == 3
        assert "its preflight fails" in found.err
        assert "identical_image fails: " in found.err
        assert "the digests differ" in found.err
        assert "environment_parity fails" not in found.err
        assert "`cutover preflight`" in found.err
        assert not world.data.exists()


def test_a_run_that_holds_begins_and_goes_on_and_no_secret_is_anywhere(world, monkeypatch, capsys):
    """The journal has what was seen, and a begun run is not refused, whatever breaks later.

    No key is in any log, in the journal, in kept evidence, or in what preflights printed.
    """
    broken = world.folder / "broken.toml"
    broken.write_text(world.config.read_text().replace(IMAGE, f"a@{OTHER}"))
    assert _begun(world, world.config, 4) == dict.fromkeys(Check, True)
    for config, code in ((world.config, 0), (broken, 1)):
        for form in ((), ("--json",)):
            words = ("preflight", RUNBOOK, "--config", config, *form)
            found = hand(monkeypatch, capsys, *words)
            assert found.code == code
            world.said.append(found.all)
    assert _begun(world, broken, 4)  # it speaks to its operators again
    assert _leaks(world) == []


def _begun(world, config, facts):
    """Run until its control API is there and so much was seen; what preconditions it saw."""
    address, seen = world.data / "conductor.json", functools.partial(_seen, world)
    address.unlink(missing_ok=True)
    command = (sys.executable, "-m", "cutover", "run", str(RUNBOOK), "--config", str(config))
    trusted = {"SSL_CERT_FILE": os.environ["SSL_CERT_FILE"]}
    child = world.start("conductor", *command, **trusted)
    log = world.folder / "conductor.log"

    def there():
        assert child.poll() is None, log.read_text()
        return address.exists() and len(seen()) >= facts

    until("run", there)
    child.send_signal(signal.SIGTERM)
    assert child.wait() == 0, log.read_text()
    return seen()


def _seen(world):
    journal = world.data / "journal.db"
    if not journal.exists():
        return {}
    with Journal.open_read_only(journal) as reader:
        facts = [entry.fact for entry in reader.entries()]
    found = [fact for fact in facts if type(fact).__name__ == "PreconditionSeen"]
    return {fact.check: fact.ok for fact in found}


def _leaks(world):
    """Which secret stands where, in all that a run and its preflights leave behind."""
    kept = [world.data, world.folder / "hetzner-canary", world.folder / "phala-canary"]
    files = [*world.folder.glob("*.log"), *(f for place in kept for f in place.rglob("*"))]
    names = {file.name for file in files}
    assert {"conductor.log", "hetzner.log", "phala.log", "journal.db"} <= names
    texts = {str(file): file.read_bytes() for file in files if file.is_file()}
    texts["what was printed"] = "\n".join(world.said).encode()
    assert len(texts["what was printed"]) > 10_000
    assert len(world.secrets()) == 12
    return [
        (name, place)
        for name, secret in world.secrets().items()
        for place, text in texts.items()
        if secret.encode() in text
    ]
