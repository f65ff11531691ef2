"""What a machine measures, what its quotes say, and how each lie can be told from the truth."""

import hashlib
import json
import struct

import coincurve
import dcap_qvl
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from eth_hash.auto import keccak
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.faults import VARIANTS
from sandbox.tee import keys, tls
from sandbox.tee.boot import Boot, ExtraEvent, compose_text
from sandbox.tee.collateral import Maker
from sandbox.tee.events import RUNTIME
from sandbox.tee.forgery import QUOTE_FORGERIES
from sandbox.tee.lies import LIES
from sandbox.tee.machine import Machine, TooLongError
from sandbox.tee.settings import Collateral

NOW = 1_790_000_000
SEED = b"machine tests"
NONCE = hashlib.sha512(b"statement").digest()
STYLES = ["0.5", "0.6", "0.6-v2"]
TRUSTED = ("app-id", "compose-hash", "instance-id", "key-provider")
IN_QUOTE = {
    "mrtd": 184,
    "mr_config_id": 232,
    "rtmr0": 376,
    "rtmr1": 424,
    "rtmr2": 472,
    "rtmr3": 520,
}


class RejectedError(Exception):
    """What a careful reader says of evidence."""


def strict(evidence, root, *, report_data=NONCE):
    """Judge a quote and its log as attestation §2 and §16 ask; return what the log claims."""
    text = Maker(Machine(SEED).platform, Collateral(), NOW).json()
    collateral = dcap_qvl.QuoteCollateralV3.from_json(text)
    try:
        dcap_qvl.verify_with_root_ca(evidence.quote, collateral, root, NOW)
    except ValueError as error:
        raise RejectedError("quote") from error
    if evidence.quote[568:632] != report_data:
        raise RejectedError("report data")
    register = [bytes(48)] * 4
    for entry in evidence.entries:
        digest = bytes.fromhex(entry["digest"])
        if entry["imr"] == 3:
            digest = recomputed(entry)
        register[entry["imr"]] = hashlib.sha384(register[entry["imr"]] + digest).digest()
    for number in range(4):
        at = IN_QUOTE[f"rtmr{number}"]
        if evidence.quote[at : at + 48] != register[number]:
            raise RejectedError("replay")
    return claims([e for e in evidence.entries if e["imr"] == 3])


def recomputed(entry):
    name, payload = entry["event"], bytes.fromhex(entry["event_payload"])
    if entry["event_type"] != RUNTIME:
        raise RejectedError("event type")
    said = struct.pack("<I", RUNTIME) + b":" + name.encode() + b":" + payload
    if entry.get("version") == 2:
        said = f'{{"name":"{name}","payload":"{payload.hex()}","type":{RUNTIME}}}'.encode()
        if entry["preimage"] != said.hex():
            raise RejectedError("digest")
    digest = hashlib.sha384(said).digest()
    if entry["digest"] not in {"", digest.hex()}:
        raise RejectedError("digest")
    return digest


def claims(entries):
    names = [entry["event"] for entry in entries]
    ready = names.index("system-ready")
    for name in TRUSTED:
        if names[:ready].count(name) != 1 or name in names[ready:]:
            raise RejectedError("claims")
    return {e["event"]: e["event_payload"] for e in entries if e["event"] in TRUSTED}


@pytest.fixture(params=STYLES)
def machine(request):
    return Machine(SEED, Boot(style=request.param), nonce="0")


class TestHonest:
    def test_the_log_explains_the_quote_in_every_style(self, machine):
        found = strict(machine.evidence(NONCE), machine.platform.pki.root.der)
        facts = machine.facts()
        assert found["app-id"] == facts["app_id"]
        assert found["compose-hash"] == hashlib.sha256(machine.boot.compose.encode()).hexdigest()
        assert found["instance-id"] == facts["instance_id"]
        provider = json.loads(bytes.fromhex(found["key-provider"]))
        assert provider == {"name": "kms", "id": machine.kms.root_spki.hex()}

    def test_the_facts_are_what_the_quote_says(self, machine):
        quote, facts = machine.evidence(NONCE).quote, machine.facts()
        for name, at in IN_QUOTE.items():
            assert quote[at : at + 48].hex() == facts[name], name

    def test_each_style_writes_the_log_in_its_own_way(self):
        logs = {s: Machine(SEED, Boot(style=s)).log_entries() for s in STYLES}
        runtime = {s: [e for e in log if e["imr"] == 3] for s, log in logs.items()}
        assert all(len(e["digest"]) == 96 for e in runtime["0.5"])
        assert all(e["digest"] == "" for e in runtime["0.6"])
        assert all(e["version"] == 2 and e["preimage"] for e in runtime["0.6-v2"])
        assert "mr-kms" in [e["event"] for e in runtime["0.5"]]
        assert "mr-kms" not in [e["event"] for e in runtime["0.6"]]

    def test_short_report_data_are_filled_at_the_right_and_long_ones_refused(self):
        assert Machine(SEED).evidence(b"\x12\x34").quote[568:632] == b"\x12\x34" + bytes(62)
        with pytest.raises(TooLongError, match="65 bytes"):
            Machine(SEED).evidence(bytes(65))

    def test_an_event_changes_rtmr3_alone_and_a_restart_forgets_it(self):
        machine = Machine(SEED)
        before = machine.facts()
        machine.emit("model", b"weights")
        after = machine.facts()
        assert {name for name in before if before[name] != after[name]} == {"rtmr3"}
        assert strict(machine.evidence(NONCE), machine.platform.pki.root.der)
        machine.restart()
        assert machine.facts() == {**before, "starts": 2}

    @pytest.mark.parametrize(
        ("change", "moved"),
        [
            ({"app": "other"}, {"app_id", "instance_id", "rtmr3"}),
            ({"compose": compose_text(name="b")}, {"compose_hash", "rtmr3", "mr_config_id"}),
            ({"disk": "new"}, {"instance_id", "rtmr3"}),
            ({"no_instance_id": True}, {"instance_id", "rtmr3"}),
            ({"dev": True}, {"os_image_hash", "rtmr1", "rtmr2", "rtmr3"}),
            ({"cpu_count": 8}, {"rtmr0"}),
            ({"memory_mb": 8192}, {"rtmr0"}),
            ({"image": "dstack-0.6.0"}, {"mrtd", "os_image_hash", "rtmr1", "rtmr2", "rtmr3"}),
            ({"key_provider": "other-kms"}, {"key_provider", "kms_root_public", "rtmr3"}),
            ({"mr_config": "v2"}, {"mr_config_id"}),
            ({"mr_config": "unset"}, {"mr_config_id"}),
            ({"platform": "platform-2"}, {"ppid"}),
            ({"before_ready": [{"event": "gpu-policy-hash", "payload": "00"}]}, {"rtmr3"}),
        ],
    )
    def test_a_change_moves_what_it_should_and_nothing_else(self, change, moved):
        machine = Machine(SEED)
        before = machine.facts()
        machine.restart(change)
        after = machine.facts()
        assert {n for n in before if before[n] != after[n]} - {"starts"} == moved

    def test_mr_config_id_holds_the_compose_hash_in_the_form_it_names(self):
        boot = Boot()
        root = Machine(SEED).kms.root_spki
        assert boot.mr_config_id(root) == b"\x01" + boot.compose_hash + bytes(15)
        said = boot.compose_hash + boot.app_id_bytes + b"\x02" + root
        second = Boot(mr_config="v2").mr_config_id(root)
        assert second == b"\x02" + keccak(said) + bytes(15)
        assert Boot(mr_config="unset").mr_config_id(root) == bytes(48)

    def test_an_unknown_change_is_refused_and_nothing_happens(self):
        machine = Machine(SEED)
        with pytest.raises(ValueError, match="not a boot"):
            machine.restart({"cpus": 3})
        assert machine.starts == 1

    def test_the_log_has_an_end(self):
        machine = Machine(SEED)
        for _ in range(1000 - len(machine.events)):
            machine.emit("x", b"")
        with pytest.raises(TooLongError, match="restart"):
            machine.emit("x", b"")


DETECTED = {
    **dict.fromkeys(QUOTE_FORGERIES, "quote"),
    "forged_compose": "digest",
    "foreign_event_type": "event type",
    "reordered_log": "replay",
    "truncated_log": "replay",
    "empty_log": "replay",
    "measured_twice": "claims",
    "measured_late": "claims",
    "unasked_report_data": "report data",
}
SOMEBODY_ELSE = {
    "other_app": "app_id",
    "other_compose": "compose_hash",
    "other_instance": "instance_id",
    "other_image": "rtmr2",
    "other_size": "rtmr0",
    "other_kms": "key_provider",
    "local_keys": "key_provider",
}


class TestLies:
    def test_every_lie_is_judged_here_and_can_be_asked_for(self):
        assert set(DETECTED) | set(SOMEBODY_ELSE) == set(LIES)
        assert set(LIES) <= set(VARIANTS["guest"])

    @pytest.mark.parametrize("name", sorted(DETECTED))
    def test_a_careful_reader_rejects_it_for_its_own_reason(self, machine, name):
        with pytest.raises(RejectedError, match=DETECTED[name]):
            strict(LIES[name](machine, NONCE), machine.platform.pki.root.der)

    @pytest.mark.parametrize("name", sorted(SOMEBODY_ELSE))
    def test_somebody_else_is_genuine_and_only_the_policy_can_tell(self, machine, name):
        evidence = LIES[name](machine, NONCE)
        found = strict(evidence, machine.platform.pki.root.der)
        mine = strict(machine.evidence(NONCE), machine.platform.pki.root.der)
        at = IN_QUOTE.get(SOMEBODY_ELSE[name])
        if at is None:
            shown = SOMEBODY_ELSE[name].replace("_", "-")
            assert found[shown] != mine[shown]
        else:
            honest = machine.evidence(NONCE).quote
            assert evidence.quote[at : at + 48] != honest[at : at + 48]

    @pytest.mark.parametrize(
        ("name", "is_late"), [("measured_twice", False), ("measured_late", True)]
    )
    def test_the_second_compose_hash_stands_where_its_name_says(self, name, is_late):
        entries = LIES[name](Machine(SEED), NONCE).entries
        names = [entry["event"] for entry in entries if entry["imr"] == 3]
        second = names.index("compose-hash", names.index("compose-hash") + 1)
        assert (second > names.index("system-ready")) is is_late

    def test_telling_a_lie_leaves_the_machine_as_it_was(self, machine):
        before, log = machine.facts(), machine.log_entries()
        for lie in LIES.values():
            lie(machine, NONCE)
        assert (machine.facts(), machine.log_entries()) == (before, log)

    def test_a_forged_compose_hash_replays_for_whoever_believes_digests(self):
        """The trap: with the digests taken as given, the register comes out right."""
        machine = Machine(SEED)
        for name in ("forged_compose", "foreign_event_type"):
            evidence = LIES[name](machine, NONCE)
            register = bytes(48)
            for entry in evidence.entries:
                if entry["imr"] == 3:
                    register = hashlib.sha384(register + bytes.fromhex(entry["digest"])).digest()
            assert register == evidence.quote[520:568]
            names = {e["event"]: e["event_payload"] for e in evidence.entries}
            assert names["compose-hash"] != machine.boot.compose_hash.hex()


class TestKeys:
    @given(
        path=st.text(max_size=20),
        purpose=st.text(max_size=20),
        algorithm=st.sampled_from(["secp256k1", "ed25519"]),
    )
    @settings(max_examples=25, deadline=None)
    def test_the_chain_of_an_app_key_leads_to_the_kms_root(self, path, purpose, algorithm):
        machine = Machine(SEED)
        app_id = machine.boot.app_id_bytes
        key = machine.kms.app_key(app_id, path, purpose, algorithm)
        said = keccak(f"{purpose}:{key.public.hex()}".encode())
        app = coincurve.PublicKey.from_signature_and_message(key.chain[0], said, hasher=None)
        issued = keccak(b"dstack-kms-issued:" + app_id + app.format())
        root = coincurve.PublicKey.from_signature_and_message(key.chain[1], issued, hasher=None)
        assert root.format().hex() == machine.facts()["kms_root_public"]
        if algorithm == "ed25519":
            private = Ed25519PrivateKey.from_private_bytes(key.secret)
            assert private.public_key().public_bytes_raw() == key.public
        else:
            assert coincurve.PrivateKey(key.secret).public_key.format() == key.public

    def test_replicas_share_app_keys_and_apps_do_not(self):
        def secret(**boot):
            machine = Machine(SEED, Boot(**boot))
            return machine.kms.app_key(machine.boot.app_id_bytes, "w", "p", "secp256k1").secret

        assert secret() == secret(disk="another") == secret(compose=compose_text(name="b"))
        assert len({secret(), secret(app="b"), secret(key_provider="other-kms")}) == 3

    def test_a_tls_key_is_never_given_twice(self):
        one, two = Machine(SEED), Machine(SEED)
        made = [keys.spki(one.next_tls_key()), keys.spki(two.next_tls_key())]
        one.restart()
        made += [keys.spki(one.next_tls_key()), keys.spki(one.next_tls_key())]
        assert len(set(made)) == 4

    def test_a_certificate_chains_to_the_kms_and_carries_the_quote_over_its_key(self):
        machine = Machine(SEED)
        key = machine.next_tls_key()
        evidence = machine.evidence(tls.ra_tls_report_data(key))
        wanted = tls.Wanted(
            "agent", NOW, NOW + 60, ("agent.test", "127.0.0.1"),
            evidence=(evidence.quote, evidence.event_log.encode()),
        )  # fmt: skip
        chain = tls.certificate_chain(machine.kms, machine.boot.app_id_bytes, key, wanted)
        leaf, app, root = (x509.load_pem_x509_certificate(one.encode()) for one in chain)
        leaf.verify_directly_issued_by(app)
        app.verify_directly_issued_by(root)
        assert keys.spki(machine.kms.ca) == machine.kms.root_spki
        assert root.public_key() == machine.kms.ca.public_key()
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.DNSName) == ["agent.test"]
        oid = x509.ObjectIdentifier("1.3.6.1.4.1.62397.1.1")
        quote = leaf.extensions.get_extension_for_oid(oid).value.value
        assert quote.endswith(evidence.quote)
        bound = hashlib.sha512(b"ratls-cert:" + keys.spki(key)).digest()
        assert strict(evidence, machine.platform.pki.root.der, report_data=bound)
        loaded = load_pem_private_key(tls.key_pem(key).encode(), None)
        assert loaded.public_key() == leaf.public_key()


@given(st.lists(st.tuples(st.from_regex(r"[a-z-]{1,9}", fullmatch=True), st.binary(max_size=40))))
@settings(max_examples=30, deadline=None)
def test_whatever_is_measured_the_log_replays(told):
    """For any events of the application, in any style, the quote and the log agree."""
    told = [(name, payload) for name, payload in told if name not in TRUSTED]
    for style in STYLES:
        extra = tuple(ExtraEvent(event=name, payload=payload.hex()) for name, payload in told)
        machine = Machine(SEED, Boot(style=style, after_ready=extra))
        for name, payload in told:
            machine.emit(name, payload)
        assert strict(machine.evidence(NONCE), machine.platform.pki.root.der)
