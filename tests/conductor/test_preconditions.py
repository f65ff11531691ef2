"""What must hold on both planes before anything moves: each way to fail, and to be unknown."""

import contextlib
import datetime as dt
import ipaddress
import secrets
import ssl

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from conductor.doubles import DEMO, PHASED, Peer
from cutover.conductor.config import PlaneAccess
from cutover.conductor.plane_client import HttpPlane
from cutover.conductor.preconditions import Preconditions
from cutover.runbook.gate import Check
from listening import Listening

SERVICES = {
    "farcaster": "disabled", "github": "available", "near": "available", "pingpay": "available",
    "eigenai": "available", "teeWallet": "mock",
}  # fmt: skip
HEALTH = {
    "status": "healthy", "version": "2.0.0", "services": SERVICES,
    "readiness": {"ready": True, "reasons": []},
}  # fmt: skip
CHECKS = {name: {"ok": True, "details": "{}"} for name in ("github", "near", "eigenai", "pingpay")}
DAY_MS = 86_400_000


def guarded(key):
    """`/process` as a plane with a key answers it."""

    def answer(asked):
        fits = asked.headers.get("x-agent-api-key") == key
        return (200, {"response": "help"}) if fits else (401, {"error": "Unauthorized"})

    return answer


def routes(**changes):
    return {
        "GET /health": (200, HEALTH),
        "GET /ready": (200, {"ready": True, "reasons": []}),
        "POST /canary/run": (200, {"ok": True, "checks": CHECKS}),
        "POST /process": guarded("right"),
        **changes,
    }


class Whole(dict):
    """Every route of a plane, as it stands."""


async def look(
    check, runbook=DEMO, images=("", ""), first=None, second=None, urls=None, entrance=""
):
    """One look at two planes whose routes are changed as given."""
    async with contextlib.AsyncExitStack() as stack:
        enter = stack.enter_async_context
        tables = [c if isinstance(c, Whole) else routes(**(c or {})) for c in (first, second)]
        peers = [await enter(Peer(table)) for table in tables]
        client = await enter(httpx.AsyncClient(trust_env=False))
        where = urls or [peer.url for peer in peers]
        planes = [HttpPlane(n, u, "right", client) for n, u in zip(DEMO.planes, where, strict=True)]
        access = {
            p.name: PlaneAccess(p.url, "right", i) for p, i in zip(planes, images, strict=True)
        }
        before = Preconditions(
            runbook, planes, access, lambda: secrets.token_hex(32), entrance=entrance
        )
        seen = await before.look(check, WALL_MS)
    assert seen.check is check
    assert seen.reasons
    return seen


WALL_MS = int(dt.datetime.now(dt.UTC).timestamp() * 1000)
DIGEST = "registry/agent:2.0@sha256:" + "a" * 64


def health(**changes):
    return {"GET /health": (200, {**HEALTH, **changes})}


class TestIdenticalImage:
    async def test_equal_digests_hold(self):
        """The tag may differ, the digest decides."""
        other = DIGEST.replace("agent:2.0", "agent:latest")
        assert (await look(Check.IDENTICAL_IMAGE, PHASED, (DIGEST, other))).ok is True

    @pytest.mark.parametrize(
        "other", [DIGEST[:-1] + "b", "registry/agent:2.0", DIGEST.replace("sha256", "md5")]
    )
    async def test_other_digests_fail(self, other):
        """One letter off, no digest at all, or another kind of digest."""
        assert (await look(Check.IDENTICAL_IMAGE, PHASED, (DIGEST, other))).ok is False

    async def test_two_tags_prove_nothing(self):
        """The same tag on both is no digest."""
        both = ("registry/agent:2.0",) * 2
        assert (await look(Check.IDENTICAL_IMAGE, PHASED, both)).ok is False

    async def test_without_digests_it_cannot_be_judged(self):
        """Unknown in production, taken as reported in a rehearsal."""
        seen = await look(Check.IDENTICAL_IMAGE, PHASED)
        assert seen.ok is None
        assert any("planes.phala.image" in reason for reason in seen.reasons)
        assert (await look(Check.IDENTICAL_IMAGE, PHASED, (DIGEST, ""))).ok is None
        assert (await look(Check.IDENTICAL_IMAGE, DEMO)).ok is True

    @pytest.mark.parametrize("said", [{"version": "2.0.1"}, {"build": "x"}, {"version": None}])
    async def test_planes_that_say_otherwise_fail(self, said):
        """What they say of themselves must fit, digests or not."""
        seen = await look(Check.IDENTICAL_IMAGE, DEMO, (DIGEST, DIGEST), second=health(**said))
        assert seen.ok is False

    async def test_silent_planes_are_not_identical(self):
        """Two planes that say nothing agree on nothing."""
        gone = {"GET /health": "reset"}
        assert (await look(Check.IDENTICAL_IMAGE, DEMO, first=gone, second=gone)).ok is False


class TestEnvironmentParity:
    async def test_same_services_and_an_enforced_key_hold_in_a_rehearsal(self):
        """In production values cannot be compared without `/parity`: unknown."""
        assert (await look(Check.ENVIRONMENT_PARITY, DEMO)).ok is True
        seen = await look(Check.ENVIRONMENT_PARITY, PHASED)
        assert seen.ok is None
        assert any("/parity" in reason for reason in seen.reasons)

    @pytest.mark.parametrize(
        "process", [(200, {"response": "x"}), (500, {}), "reset", (403, {}), (404, {})]
    )
    async def test_a_key_that_is_not_enforced_fails(self, process):
        """No key and whatever is not the key must be answered with 401, by both planes."""
        open_door = {"POST /process": process}
        for where in ({"first": open_door}, {"second": open_door}):
            seen = await look(Check.ENVIRONMENT_PARITY, DEMO, **where)
            assert seen.ok is False
            assert sum("expected 401" in reason for reason in seen.reasons) == 6

    async def test_a_key_that_anything_replaces_fails(self):
        """A plane that only asks for *some* key is open."""
        lax = {
            "POST /process": lambda asked: (
                (200, {}) if "x-agent-api-key" in asked.headers else (401, {})
            )
        }
        assert (await look(Check.ENVIRONMENT_PARITY, DEMO, first=lax)).ok is False

    async def test_a_service_on_one_side_only_fails(self):
        """The difference is named."""
        fewer = health(services={**SERVICES, "pingpay": "unavailable"})
        seen = await look(Check.ENVIRONMENT_PARITY, DEMO, second=fewer)
        assert seen.ok is False
        assert any("pingpay" in reason for reason in seen.reasons)

    @pytest.mark.parametrize("services", [{}, dict.fromkeys(SERVICES, "unavailable")])
    async def test_equal_emptiness_is_no_parity(self, services):
        """Two planes without credentials are alike, and neither can do its work."""
        none = health(services=services)
        assert (await look(Check.ENVIRONMENT_PARITY, DEMO, first=none, second=none)).ok is False

    @pytest.mark.parametrize("services", [None, "all", ["github"]])
    async def test_no_list_of_services_fails(self, services):
        """What is not said is not there."""
        none = health(services=services)
        assert (await look(Check.ENVIRONMENT_PARITY, DEMO, second=none)).ok is False

    async def test_the_attestation_flag_is_no_credential(self):
        """`teeWallet` differs between the planes by design."""
        tee = health(services={**SERVICES, "teeWallet": "tee"})
        assert (await look(Check.ENVIRONMENT_PARITY, DEMO, second=tee)).ok is True


class TestEndpoints:
    async def test_reachable_is_not_yet_healthy(self):
        """503 from `/ready` and a canary that fails are answers; the gates judge them."""
        sick = {
            "GET /ready": (503, {"ready": False}),
            "POST /canary/run": (503, {"ok": False, "checks": CHECKS}),
        }
        assert (await look(Check.ENDPOINTS_REACHABLE, DEMO, first=sick)).ok is True

    @pytest.mark.parametrize(
        "change",
        [
            {"GET /ready": (404, {})},
            {"GET /ready": (200, b"<html>parked</html>")},
            {"GET /ready": (200, {"ready": "yes"})},
            {"GET /ready": (200, [True])},
            {"GET /ready": (302, {"ready": True})},
            {"GET /health": (200, b"<html>")},
            {"GET /health": (200, {"status": "healthy"})},
            {"GET /health": (503, HEALTH)},
            {"POST /canary/run": (200, {"checks": CHECKS})},
            {"POST /canary/run": (200, {"ok": True, "checks": []})},
            {"GET /ready": "reset"},
            {"GET /health": (500, {})},
            {"GET /health": b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{"},
            {"POST /canary/run": (404, {"error": "Not Found"})},
            {"POST /canary/run": (401, {"error": "Unauthorized"})},
            {"POST /canary/run": (200, b"<html>")},
        ],
    )
    async def test_each_endpoint_of_each_plane_is_needed(self, change):
        """A proxy's page, a refusal or a broken answer is not the endpoint."""
        for where in ({"first": change}, {"second": change}):
            assert (await look(Check.ENDPOINTS_REACHABLE, DEMO, **where)).ok is False


def certificate(folder, days, name="127.0.0.1"):
    """A self-signed certificate that is its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{name} {days}")])
    now = dt.datetime.now(dt.UTC)

    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(name))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / f"cert-{days}.pem"
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


@contextlib.asynccontextmanager
async def tls_plane(path):

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)

    async def listen(reader, _):
        await reader.read()

    async with Listening(listen, context) as server:
        yield server.url


class TestTls:
    async def test_plain_http_on_loopback(self):
        """Fine in a rehearsal, unknown in production: nobody else can reach it."""
        assert (await look(Check.TLS_AND_DOMAIN, DEMO)).ok is True
        assert (await look(Check.TLS_AND_DOMAIN, PHASED)).ok is None

    async def test_plain_http_elsewhere_fails(self):
        """Without TLS no plane off this machine is trusted."""
        urls = ["http://192.0.2.1:80", "http://127.0.0.1:80"]
        assert (await look(Check.TLS_AND_DOMAIN, PHASED, urls=urls)).ok is False

    async def test_a_certificate_that_outlives_the_run_holds(self, tmp_path, monkeypatch):
        """Nine days of soak and more are covered on both planes."""
        path = certificate(tmp_path, 30)
        monkeypatch.setenv("SSL_CERT_FILE", str(path))
        async with tls_plane(path) as url:
            seen = await look(Check.TLS_AND_DOMAIN, PHASED, urls=[url, url], entrance=url)
        assert seen.ok is True
        vouched = f"certificate by an authority of {path} is valid until"
        assert sum(vouched in reason for reason in seen.reasons) == 3

    async def test_a_certificate_that_ends_within_the_run_fails(self, tmp_path, monkeypatch):
        """The fallback window must be covered too."""
        need = sum(stage.soak.observed_ms for stage in PHASED.stages) / DAY_MS
        path = certificate(tmp_path, int(need) - 1)
        monkeypatch.setenv("SSL_CERT_FILE", str(path))
        async with tls_plane(path) as url:
            assert (await look(Check.TLS_AND_DOMAIN, PHASED, urls=[url, url])).ok is False

    async def test_an_unknown_authority_fails(self, tmp_path):
        """A certificate that the system does not trust is none."""
        async with tls_plane(certificate(tmp_path, 30)) as url:
            seen = await look(Check.TLS_AND_DOMAIN, PHASED, urls=[url, url])
        assert seen.ok is False
        assert "TLS to" in seen.reasons[0]

    @pytest.mark.parametrize(
        ("entrance", "ok", "text"),
        [
            ("", None, "gateway: gateway.url is not set"),
            ("http://127.0.0.1:8080", None, "gateway is reached without TLS at 127.0.0.1"),
            ("http://localhost", None, "which only this host can reach"),
            ("http://agents.example", False, "gateway is reached without TLS at agents.example"),
            ("http://192.0.2.1:8080", False, "whoever is on the way hears all, expected https"),
            ("https://127.0.0.1:1", False, "gateway: TLS to 127.0.0.1:1 fails"),
        ],
    )
    async def test_where_users_arrive_is_looked_at_too(self, entrance, ok, text):
        """Untold or plain it never holds in production; on loopback a rehearsal believes it."""
        urls = ["http://127.0.0.1:80"] * 2
        seen = await look(Check.TLS_AND_DOMAIN, PHASED, urls=urls, entrance=entrance)
        assert seen.ok is ok
        assert text in "; ".join(seen.reasons)
        rehearsed = await look(Check.TLS_AND_DOMAIN, DEMO, entrance=entrance)
        assert rehearsed.ok is (True if ok is None else ok)

    @pytest.mark.parametrize(
        ("days", "name", "text"),
        [
            (3, "127.0.0.1", "is before the fallback window ends: renew it first"),
            (30, "127.0.0.9", "certificate is not valid for '127.0.0.1'"),
        ],
    )
    async def test_its_certificate_is_judged_like_a_plane_s(
        self, tmp_path, monkeypatch, days, name, text
    ):
        """It ends within the run, or is for another host: that, and nothing else, is named."""
        good, bad = certificate(tmp_path, 31), certificate(tmp_path, days, name)
        (tmp_path / "both.pem").write_bytes(good.read_bytes() + bad.read_bytes())
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "both.pem"))
        async with tls_plane(good) as url, tls_plane(bad) as entrance:
            seen = await look(Check.TLS_AND_DOMAIN, PHASED, urls=[url, url], entrance=entrance)
        assert seen.ok is False
        assert "gateway: " in seen.reasons[0]
        assert text in seen.reasons[0]

    @pytest.mark.parametrize("url", ["https://127.0.0.1:1", f"https://{'a' * 70}.invalid"])
    async def test_no_connection_fails(self, url):
        """Nobody there, or a name that cannot exist."""
        assert (await look(Check.TLS_AND_DOMAIN, PHASED, urls=[url, url])).ok is False
