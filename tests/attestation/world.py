"""One attested plane in memory: a machine under a test root, its bundle, a policy it passes."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

import coincurve
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from eth_hash.auto import keccak

from cutover.attestation.bundle import Asked, Bundle, Nonce
from cutover.attestation.collateral import parse_collateral, root_sha256
from cutover.attestation.policy_file import load_policy
from cutover.attestation.statement import key_set_digest
from cutover.attestation.strict import canonical_json
from cutover.attestation.verifier import verify
from sandbox.tee.collateral import Maker
from sandbox.tee.lies import LIES
from sandbox.tee.machine import Machine
from sandbox.tee.settings import Collateral as Settings

FIXTURES = Path(__file__).parents[1] / "fixtures" / "attestation"
NOW = 1_790_000_000
SEED = b"tests of attestation"
NONCE = bytes(range(32))
TLS_SPKI = hashlib.sha256(b"the plane's tls key").digest()
VECTORS = json.loads((FIXTURES / "vectors.json").read_text("utf-8"))


def fixture(name):
    """Bytes of a fixture; a quote in hex comes raw."""
    raw = (FIXTURES / name).read_bytes()
    return bytes.fromhex(raw.decode().strip()) if name.endswith(".hex") else raw


def real():
    """A complete real bundle, its collateral, and a moment at which it verifies."""
    folder = "near-mpc/2026-08"
    bundle = Bundle(
        quote=fixture(f"{folder}/quote.hex"),
        event_log=fixture(f"{folder}/event_log.json"),
        app_compose=fixture(f"{folder}/app_compose.raw"),
    )
    return bundle, parse_collateral(fixture(f"{folder}/collateral.json")), 1_787_000_000


def wallet(machine, algorithm, purpose, statement=b""):
    """A key of the machine's KMS, with its signature over a statement."""
    key = machine.kms.app_key(machine.boot.app_id_bytes, f"keys/{purpose}", purpose, algorithm)
    if algorithm == "ed25519":
        signature = Ed25519PrivateKey.from_private_bytes(key.secret).sign(statement)
    else:
        own = coincurve.PrivateKey(key.secret)
        signature = own.sign_recoverable(keccak(statement), hasher=None)
    return {
        "algorithm": algorithm,
        "purpose": purpose,
        "public_key": key.public.hex(),
        "signature_chain": [one.hex() for one in key.chain],
        "signature": signature.hex(),
    }


WALLETS = (("ed25519", "near"), ("secp256k1", "signing"))


@dataclass
class Plane:
    """What a plane would answer; every field may be bent by a test."""

    machine: Machine = field(default_factory=lambda: Machine(SEED, nonce="n"))
    nonce: bytes = NONCE
    tls_spki: bytes = TLS_SPKI
    expires: int = NOW + 300
    said: dict = field(default_factory=dict)
    lie: str | None = None
    wallets: tuple = WALLETS

    def statement(self):
        facts = self.machine.facts()
        made = [wallet(self.machine, *one) for one in self.wallets]
        keys = [(one["algorithm"], bytes.fromhex(one["public_key"])) for one in made]
        return canonical_json(
            {
                "app": facts["app_id"],
                "expires": self.expires,
                "instance": facts["instance_id"],
                "keys": key_set_digest(self.tls_spki, keys).hex(),
                "nonce": self.nonce.hex(),
                "plane": "phala",
                "purpose": "cutover.report_data.v1",
                "release": "r1",
                "tls_spki": self.tls_spki.hex(),
                **self.said,
            }
        )

    def answer(self):
        """The JSON object of the wire."""
        statement = self.statement()
        data = hashlib.sha512(statement).digest()
        lie = LIES[self.lie] if self.lie else None
        evidence = lie(self.machine, data) if lie else self.machine.evidence(data)
        return {
            "v": 1,
            "statement": statement.decode(),
            "quote": evidence.quote.hex(),
            "event_log": evidence.event_log,
            "vm_config": self.machine.boot.vm_config(),
            "app_compose": self.machine.boot.compose,
            "keys": {
                "tls_spki_sha256": self.tls_spki.hex(),
                "wallets": [wallet(self.machine, *one, statement) for one in self.wallets],
            },
        }

    def bundle(self, **changes):
        answer = self.answer()
        bundle = Bundle(
            quote=bytes.fromhex(answer["quote"]),
            event_log=answer["event_log"].encode(),
            app_compose=answer["app_compose"].encode(),
            statement=answer["statement"].encode(),
            keys=canonical_json(answer["keys"]),
        )
        return dataclasses.replace(bundle, **changes)


def root():
    return Machine(SEED, nonce="n").platform.pki.root.der


def collateral(machine=None, now=NOW, **settings):
    """A set for the machine's platform."""
    platform = (machine or Machine(SEED, nonce="n")).platform
    return parse_collateral(Maker(platform, Settings.model_validate(settings), now).json())


def policy_text(machine=None, *, production=False, **changes):
    """The policy that the usual machine passes, as TOML; in production without its test root."""
    facts = (machine or Machine(SEED, nonce="n")).facts()
    values = {
        "unsafe_test_root_sha256": root_sha256(root()),
        "instances": "[]",
        "compose_hashes": json.dumps([facts["compose_hash"]]),
        "config_id": "required",
        "source": "recomputed",
        "grace": "7d",
        "hardening": "[]",
        "rejected": "[]",
        "events": "[]",
        "services": '["agent"]',
        "wallet": f'[attestation.wallet]\nkms_root = "{facts["kms_root_public"]}"\n'
        'purposes = ["near", "signing"]',
        "collateral": "7d",
        **{name: facts[name] for name in ("app_id", "mrtd", "rtmr0", "rtmr1", "rtmr2")},
        "provider": facts["key_provider"]["name"],
        "provider_id": facts["key_provider"]["id"],
        **changes,
    }
    text = _POLICY.format(**values)
    if production:
        text = "".join(line for line in text.splitlines(True) if "unsafe_test_root" not in line)
    return text


_POLICY = """\
[attestation]
plane = "phala"
release = "r1"
unsafe_test_root_sha256 = "{unsafe_test_root_sha256}"
[attestation.limits]
evidence = "15m"
nonce = "60s"
collateral = "{collateral}"
[attestation.tcb]
hardening_advisories = {hardening}
rejected_advisories = {rejected}
out_of_date_grace = "{grace}"
[attestation.app]
id = "{app_id}"
instances = {instances}
compose_hashes = {compose_hashes}
services = {services}
allowed_envs = []
scripts = []
events = {events}
mr_config_id = "{config_id}"
[attestation.key_provider]
name = "{provider}"
id = "{provider_id}"
{wallet}
[[attestation.image]]
label = "test image"
source = "{source}"
mrtd = "{mrtd}"
rtmr0 = "{rtmr0}"
rtmr1 = "{rtmr1}"
rtmr2 = "{rtmr2}"
"""


def policy(machine=None, **changes):
    return load_policy(policy_text(machine, **changes), "policy.toml")


def asked(**changes):
    """A live question, ten seconds old."""
    usual = Asked(
        now=NOW, nonce=Nonce(NONCE, NOW - 10), peer_spki=TLS_SPKI, peer_ends=NOW + 9999, root=root()
    )
    return dataclasses.replace(usual, **changes)


def judge(plane=None, *, papers=None, rules=None, circumstances=None, **changes):
    """Judge a plane with everything usual but what is given."""
    return verify(
        (plane or Plane()).bundle(**changes),
        papers or collateral(),
        rules or policy(),
        circumstances or asked(),
    )


def codes(found, *outcomes):
    """`step:code` of each reason with such an outcome; of all that are not passes by default."""
    wanted = outcomes or ("degraded", "stale", "not_judged", "unverifiable", "missing", "failed")
    return [f"{r.step}:{r.code}" for r in found.reasons if r.outcome in wanted]
