"""The guest agent and the collateral service over real sockets, and their control endpoints."""

import asyncio
import json
import ssl
from contextlib import asynccontextmanager
from urllib.parse import unquote

import dcap_qvl
import httpx
import pytest
from cryptography import x509

from sandbox.faults import VARIANTS
from sandbox.tee.boot import Boot, compose_text
from sandbox.tee.machine import Machine
from sandbox.tee.pccs import Pccs
from sandbox.tee.serve import ServedMachine, ServedPccs, Where

NOW = 1_790_000_000
SEED = b"server tests"
DATA = "5c" * 64
TDX = "/tdx/certification/v4"
SGX = "/sgx/certification/v4"
SPOILED = {
    "not_found": "HTTP 404",
    "bad_signature": "InvalidCrlSignatureForPublicKey",
    "foreign_root": "InvalidCrlSignatureForPublicKey",
    "other_fmspc": "Fmspc mismatch",
    "sgx": "non-TDX TCB info",
    "no_chain": "Missing SGX-PCK-CRL-Issuer-Chain",
    "oversized": "Failed to decode hex-encoded root CA CRL",
    "html": "Missing SGX-PCK-CRL-Issuer-Chain",
}


class Side:
    """A served stand-in, a client for it, and its control endpoint."""

    def __init__(self, served, client, token):
        self.served, self.client, self.token = served, client, token

    async def control(self, method, path, body=None, token=None):
        headers = {"authorization": f"Bearer {token or self.token}"}
        async with httpx.AsyncClient(timeout=5, trust_env=False) as http:
            url = self.served.control + path
            return await http.request(method, url, json=body, headers=headers)

    async def fault(self, **rule):
        answer = await self.control("PUT", "/faults", [rule])
        assert answer.status_code == 200, answer.text

    async def quote(self, data=DATA):
        return (await self.client.post("/GetQuote", json={"report_data": data})).json()


@asynccontextmanager
async def side(served, where):
    if where.uds is None:
        transport = httpx.AsyncHTTPTransport()
    else:
        transport = httpx.AsyncHTTPTransport(uds=str(where.uds))
    async with served.running():
        base = "http://dstack" if where.uds else served.url
        async with httpx.AsyncClient(
            transport=transport, base_url=base, timeout=2, trust_env=False
        ) as client:
            yield Side(served, client, where.token)


@pytest.fixture
async def guest(tmp_path):
    where = Where("guest token", uds=tmp_path / "dstack.sock")
    async with side(ServedMachine(Machine(SEED, nonce="0"), where), where) as found:
        yield found


@pytest.fixture
async def pccs():
    where = Where("pccs token")
    service = Pccs(Machine(SEED).platform, clock=lambda: NOW)
    async with side(ServedPccs(service, where), where) as found:
        yield found


async def verified(pccs, quote):
    """Fetch collateral and verify, as a product would; raises ValueError."""
    fetching = dcap_qvl.get_collateral(pccs.served.url, quote)
    collateral = await asyncio.wait_for(fetching, 5)
    return dcap_qvl.verify_with_root_ca(quote, collateral, Machine(SEED).platform.pki.root.der, NOW)


class TestGuestAgent:
    async def test_a_quote_over_our_nonce_verifies_with_collateral_from_the_service(
        self, guest, pccs
    ):
        found = await guest.quote()
        quote = bytes.fromhex(found["quote"])
        report = json.loads((await verified(pccs, quote)).to_json())["report"]["TD10"]
        assert report["report_data"] == found["report_data"] == DATA
        assert json.loads(found["vm_config"])["cpu_count"] == 2
        assert {entry["imr"] for entry in json.loads(found["event_log"])} == {0, 1, 2, 3}

    async def test_a_quote_can_be_got_with_query_parameters_too(self, guest):
        answer = await guest.client.get("/GetQuote", params={"report_data": "1234"})
        assert answer.json()["report_data"] == "1234" + "00" * 62

    @pytest.mark.parametrize("data", ["00" * 65, "0", "zz", 7, None])
    async def test_report_data_that_are_none_are_refused(self, guest, data):
        answer = await guest.client.post("/GetQuote", json={"report_data": data})
        assert answer.status_code == 400
        assert set(answer.json()) == {"error"}

    @pytest.mark.parametrize("body", [b"[]", b"{", b"7"])
    async def test_a_body_that_is_no_object_is_refused(self, guest, body):
        answer = await guest.client.post("/GetQuote", content=body)
        assert answer.status_code == 400

    async def test_info_says_what_the_machine_is_and_gives_the_compose_bytes(self, guest):
        info = (await guest.client.post("/Info")).json()
        facts = (await guest.control("GET", "/machine")).json()["facts"]
        tcb = json.loads(info["tcb_info"])
        for name in ("app_id", "instance_id", "compose_hash", "os_image_hash"):
            assert info[name] == facts[name]
        for name in ("mrtd", "rtmr0", "rtmr1", "rtmr2", "rtmr3"):
            assert tcb[name] == facts[name]
        assert tcb["app_compose"] == compose_text()
        assert json.loads(info["key_provider_info"]) == facts["key_provider"]
        assert x509.load_pem_x509_certificate(info["app_cert"].encode())
        assert (await guest.client.post("/Info")).json()["app_cert"] == info["app_cert"]

    async def test_an_event_can_be_measured_by_an_old_agent_only(self, guest):
        before = json.loads((await guest.quote())["event_log"])
        body = {"event": "model", "payload": "aa"}
        assert (await guest.client.post("/EmitEvent", json=body)).status_code == 200
        after = json.loads((await guest.quote())["event_log"])
        assert [e["event"] for e in after[len(before) :]] == ["model"]
        await guest.control("POST", "/machine/restart", {"style": "0.6"})
        assert (await guest.client.post("/EmitEvent", json=body)).status_code == 404
        assert (await guest.quote())["attestation"] == ""

    async def test_keys_come_with_their_chain_and_an_unknown_kind_is_refused(self, guest):
        async def key(**body):
            return await guest.client.post("/GetKey", json={"path": "w", "purpose": "p", **body})

        found = (await key(algorithm="k256")).json()
        assert found == (await key()).json() == (await key(algorithm="secp256k1")).json()
        assert [len(one) for one in (found["key"], *found["signature_chain"])] == [64, 130, 130]
        assert (await key(algorithm="ed25519")).status_code == 200
        assert (await key(algorithm="rsa")).status_code == 400

    async def test_a_tls_key_serves_tls_and_the_next_one_is_another(self, guest, tmp_path):
        body = {"subject": "agent", "alt_names": ["agent.test"], "usage_server_auth": True}
        one, two = [(await guest.client.post("/GetTlsKey", json=body)).json() for _ in range(2)]
        assert one["key"] != two["key"]
        assert len(one["certificate_chain"]) == 3
        seen = await handshake(one, tmp_path)
        assert seen == x509.load_pem_x509_certificate(one["certificate_chain"][0].encode())

    async def test_a_certificate_that_ends_before_it_begins_is_refused(self, guest):
        body = {"not_before": NOW, "not_after": NOW - 1}
        assert (await guest.client.post("/GetTlsKey", json=body)).status_code == 400

    @pytest.mark.parametrize("path", ["/Attest", "/", "/prpc/Tappd.TdxQuote", "/getquote"])
    async def test_a_method_that_is_not_there_is_404(self, guest, path):
        assert (await guest.client.post(path, json={})).status_code == 404


async def handshake(issued, folder):
    """Serve TLS with an issued key, connect with its root alone, return the leaf that was seen."""
    server_side = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    client_side = ssl.create_default_context(cadata=issued["certificate_chain"][2])
    folder.joinpath("tls.pem").write_text(issued["key"] + "".join(issued["certificate_chain"][:2]))
    server_side.load_cert_chain(folder / "tls.pem")

    async def serve(_, writer):
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=server_side)
    async with server:
        port = server.sockets[0].getsockname()[1]
        _, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=client_side, server_hostname="agent.test"
        )
        der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.close()
        await writer.wait_closed()
    return x509.load_der_x509_certificate(der)


class TestGuestFaults:
    async def test_slow_too_many_and_broken(self, guest):
        await guest.fault(service="guest", operation="GetQuote", kind="status", status=429)
        answer = await guest.client.post("/GetQuote", json={"report_data": DATA})
        assert answer.status_code == 429
        assert (await guest.client.post("/Info")).status_code == 200
        await guest.fault(service="guest", kind="status", status=500, count=1)
        statuses = [(await guest.client.post("/Info")).status_code for _ in range(2)]
        assert statuses == [500, 200]
        await guest.fault(service="guest", kind="latency_ms", latency_ms=300)
        with pytest.raises(httpx.ReadTimeout):
            await guest.client.post("/Info", timeout=0.05)
        assert (await guest.client.post("/Info")).status_code == 200

    @pytest.mark.parametrize("kind", ["reset", "half"])
    async def test_a_connection_that_breaks_gives_no_answer(self, guest, kind):
        await guest.fault(service="guest", kind=kind)
        with pytest.raises(httpx.TransportError):
            await guest.client.post("/GetQuote", json={"report_data": DATA})

    async def test_an_agent_that_is_gone_has_no_socket_and_can_come_back(self, guest, tmp_path):
        socket = tmp_path / "dstack.sock"
        assert (await guest.control("PUT", "/listening", {"listening": False})).json() == {
            "listening": False
        }
        assert not socket.exists()
        with pytest.raises(httpx.ConnectError):
            await guest.client.post("/Info")
        await guest.control("PUT", "/listening", {"listening": True})
        assert (await guest.client.post("/Info")).status_code == 200

    async def test_while_the_gone_file_is_there_nothing_is_answered(self, tmp_path):
        gone = tmp_path / "gone"
        where = Where("t", uds=tmp_path / "agent.sock", gone_file=gone)
        async with side(ServedMachine(Machine(SEED), where), where) as guest:
            gone.touch()
            with pytest.raises(httpx.ReadTimeout):
                await guest.client.post("/Info", timeout=0.05)
            gone.unlink()
            assert (await guest.client.post("/Info")).status_code == 200

    @pytest.mark.parametrize("variant", VARIANTS["guest"])
    async def test_every_variant_changes_what_get_quote_answers(self, guest, variant):
        honest = await guest.quote("00")
        asked = await guest.quote()
        await guest.fault(service="guest", operation="GetQuote", kind="wrong", variant=variant)
        answer = await guest.client.post("/GetQuote", json={"report_data": DATA})
        assert answer.status_code == 200
        if variant == "html":
            assert answer.headers["content-type"] == "text/html"
        elif variant == "oversized":
            assert len(answer.content) > 1 << 24
        elif variant == "replayed":
            assert answer.json()["quote"] == honest["quote"] != asked["quote"]
        else:
            wrong = answer.json()
            assert (wrong["quote"], wrong["event_log"]) != (asked["quote"], asked["event_log"])
        await guest.control("DELETE", "/faults")
        assert await guest.quote() == asked

    async def test_a_lie_about_quotes_is_no_answer_to_anything_else(self, guest):
        await guest.fault(service="guest", kind="wrong", variant="other_app")
        assert (await guest.client.post("/GetKey", json={})).status_code == 500


class TestMachineControl:
    @pytest.mark.parametrize(
        ("method", "path"), [("GET", "/machine"), ("POST", "/machine/restart"), ("GET", "/calls")]
    )
    async def test_the_token_is_required(self, guest, method, path):
        assert (await guest.control(method, path, token="wrong")).status_code == 401

    async def test_other_compose_under_the_same_app_shows_in_the_quote(self, guest):
        before = (await guest.control("GET", "/machine")).json()["facts"]
        change = {"compose": compose_text(name="changed")}
        after = (await guest.control("POST", "/machine/restart", change)).json()["facts"]
        assert after["app_id"] == before["app_id"]
        assert after["compose_hash"] != before["compose_hash"]
        quote = (await guest.quote())["quote"]
        assert after["rtmr3"] in quote
        assert before["rtmr3"] not in quote

    async def test_debug_is_switched_on_by_a_restart(self, guest, pccs):
        await guest.control("POST", "/machine/restart", {"debug": True})
        with pytest.raises(ValueError, match="Debug mode"):
            await verified(pccs, bytes.fromhex((await guest.quote())["quote"]))

    @pytest.mark.parametrize("body", [{"colour": 1}, {"cpu_count": 0}, {"app_id": "xyz"}, []])
    async def test_a_change_that_is_none_is_refused(self, guest, body):
        assert (await guest.control("POST", "/machine/restart", body)).status_code == 422
        assert (await guest.control("GET", "/machine")).json()["facts"]["starts"] == 1

    async def test_calls_are_counted(self, guest):
        await guest.quote()
        assert (await guest.control("GET", "/calls")).json() == {"guest.GetQuote": 1}

    async def test_an_event_is_measured_in_any_age(self, guest):
        await guest.control("POST", "/machine/restart", {"style": "0.6-v2"})
        body = {"event": "model", "payload": "aa"}
        assert (await guest.control("POST", "/machine/events", body)).status_code == 200
        assert json.loads((await guest.quote())["event_log"])[-1]["event"] == "model"


class TestPccs:
    QUOTE = Machine(SEED).evidence(bytes.fromhex(DATA)).quote

    def test_every_variant_is_tried(self):
        assert set(SPOILED) == set(VARIANTS["pccs"])

    @pytest.mark.parametrize("variant", sorted(SPOILED))
    async def test_no_variant_leads_to_a_verdict(self, pccs, variant):
        assert (await verified(pccs, self.QUOTE)).status == "UpToDate"
        operation = "tcb" if variant in {"sgx", "other_fmspc"} else "*"
        await pccs.fault(service="pccs", operation=operation, kind="wrong", variant=variant)
        with pytest.raises(ValueError, match=SPOILED[variant]):
            await verified(pccs, self.QUOTE)

    @pytest.mark.parametrize(
        ("operation", "refusal"),
        [
            ("tcb", "Signature is invalid for tcb_info"),
            ("qe_identity", "Signature is invalid for qe_identity"),
            ("pckcrl", "InvalidCrlSignatureForPublicKey"),
            ("rootcacrl", "Failed to parse root CA CRL"),
        ],
    )
    async def test_a_bad_signature_on_any_one_document_is_noticed(self, pccs, operation, refusal):
        await pccs.fault(service="pccs", operation=operation, kind="wrong", variant="bad_signature")
        with pytest.raises(ValueError, match=refusal):
            await verified(pccs, self.QUOTE)

    @pytest.mark.parametrize("status", [429, 500])
    async def test_a_service_that_refuses_gives_no_collateral(self, pccs, status):
        await pccs.fault(service="pccs", kind="status", status=status)
        with pytest.raises(ValueError, match=f"HTTP {status}"):
            await verified(pccs, self.QUOTE)

    async def test_a_service_that_is_gone_comes_back_at_the_same_address(self, pccs):
        url = pccs.served.url
        await pccs.control("PUT", "/listening", {"listening": False})
        with pytest.raises(ValueError, match="Failed to get collateral"):
            await verified(pccs, self.QUOTE)
        await pccs.control("PUT", "/listening", {"listening": True})
        assert pccs.served.url == url
        assert (await verified(pccs, self.QUOTE)).status == "UpToDate"

    async def test_a_recovery_is_announced_early_and_bites_in_mid_run(self, pccs):
        early = {"number": 21, "status": "OutOfDate", "advisories": ["INTEL-SA-01312"]}
        await pccs.control("PATCH", "/collateral", {"early": early})
        assert (await verified(pccs, self.QUOTE)).status == "UpToDate"
        ask = {"fmspc": "B0C06F000000", "update": "early"}
        info = (await pccs.client.get(f"{TDX}/tcb", params=ask)).json()["tcbInfo"]
        levels = [level["tcbStatus"] for level in info["tcbLevels"]]
        assert (info["tcbEvaluationDataNumber"], levels[:2]) == (21, ["UpToDate", "OutOfDate"])
        await pccs.control("POST", "/collateral/promote")
        verdict = await verified(pccs, self.QUOTE)
        assert (verdict.status, verdict.advisory_ids) == ("OutOfDate", ["INTEL-SA-01312"])
        assert (await pccs.control("POST", "/collateral/promote")).status_code == 422

    async def test_a_patch_of_the_processor_ends_the_recovery(self, guest, pccs):
        """Out of date until the machine boots on patched hardware; its PPID stays the same."""
        body = {"standard": {"number": 21, "status": "OutOfDate"}}
        await pccs.control("PUT", "/collateral", body)
        verdicts = [await verified(pccs, bytes.fromhex((await guest.quote())["quote"]))]
        await guest.control("POST", "/machine/restart", {"patched": True})
        verdicts.append(await verified(pccs, bytes.fromhex((await guest.quote())["quote"])))
        assert [one.status for one in verdicts] == ["OutOfDate", "UpToDate"]
        assert verdicts[0].ppid == verdicts[1].ppid

    async def test_revocation_and_age_are_settings(self, pccs):
        await pccs.control("PATCH", "/collateral", {"revoked": ["platform-1"]})
        with pytest.raises(ValueError, match="CertRevoked"):
            await verified(pccs, self.QUOTE)
        patched = (await pccs.control("PATCH", "/collateral", {"early": {"number": 21}})).json()
        assert (patched["revoked"], patched["early"]["number"]) == (["platform-1"], 21)
        old = {"qe_identity": {"age_seconds": 100_000, "life_seconds": 1000}}
        shown = (await pccs.control("PUT", "/collateral", old)).json()
        assert (shown["revoked"], shown["standard"]["status"]) == ([], "UpToDate")
        with pytest.raises(ValueError, match="QE Identity expired"):
            await verified(pccs, self.QUOTE)

    @pytest.mark.parametrize("body", [{"standard": {"status": "Fine"}}, {"x": 1}, 7])
    async def test_settings_that_are_none_are_refused(self, pccs, body):
        assert (await pccs.control("PATCH", "/collateral", body)).status_code == 422
        assert (await verified(pccs, self.QUOTE)).status == "UpToDate"

    async def test_a_set_can_be_asked_for_by_its_number(self, pccs):
        await pccs.control("PATCH", "/collateral", {"early": {"number": 21}})

        async def status(**query):
            answer = await pccs.client.get(f"{TDX}/qe/identity", params=query)
            return answer.status_code

        known = [await status(tcbEvaluationDataNumber=n) for n in (20, 21, 19, 22, "x")]
        assert known == [200, 200, 410, 404, 400]
        assert await status(update="early", tcbEvaluationDataNumber=21) == 400
        assert await status(update="latest") == 400
        answer = await pccs.client.get(f"{TDX}/tcbevaluationdatanumbers")
        listed = answer.json()["tcbEvaluationDataNumbers"]["tcbEvalNumbers"]
        assert [one["tcbEvaluationDataNumber"] for one in listed] == [21, 20]

    @pytest.mark.parametrize(
        ("path", "status"),
        [
            (f"{TDX}/tcb?fmspc=b0c06f000000", 200),
            (f"{TDX}/tcb?fmspc=90C06F000000", 404),
            (f"{TDX}/tcb?fmspc=xyz", 400),
            (f"{TDX}/tcb", 400),
            (f"{SGX}/pckcrl?ca=processor&encoding=der", 200),
            (f"{SGX}/pckcrl?ca=nobody&encoding=der", 400),
            (f"{SGX}/pckcrl?ca=platform&encoding=xml", 400),
            (f"{SGX}/pckcert", 404),
        ],
    )
    async def test_each_question_gets_its_status(self, pccs, path, status):
        assert (await pccs.client.get(path)).status_code == status

    async def test_chains_are_in_the_headers_and_lists_come_as_der_or_hex(self, pccs):
        ask = {"ca": "platform", "encoding": "der"}
        der = await pccs.client.get(f"{SGX}/pckcrl", params=ask)
        text = await pccs.client.get(f"{SGX}/pckcrl", params={"ca": "platform"})
        assert der.content == bytes.fromhex(text.text)
        chain = unquote(der.headers["SGX-PCK-CRL-Issuer-Chain"])
        issuer = x509.load_pem_x509_certificates(chain.encode())[0]
        crl = x509.load_der_x509_crl(der.content)
        assert crl.is_signature_valid(issuer.public_key())
        root = await pccs.client.get(f"{SGX}/rootcacrl")
        assert x509.load_der_x509_crl(bytes.fromhex(root.text)).issuer == issuer.issuer

    async def test_replicas_share_the_app_and_differ_in_the_instance(self, pccs, tmp_path):
        """The evidence of one replica served by another verifies; only the instance id tells."""
        replica = Machine(SEED, Boot(disk="disk-2"))
        assert (await verified(pccs, replica.evidence(bytes(64)).quote)).status == "UpToDate"
        one, two = Machine(SEED).facts(), replica.facts()
        assert one["app_id"] == two["app_id"]
        assert one["instance_id"] != two["instance_id"]
