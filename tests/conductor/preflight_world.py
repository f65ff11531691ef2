"""Both planes as the runtime's own program, with everything that a preflight asks in front of them.

The fallback behind a TLS end of a test authority, the candidate under its own attested key on a
sandbox machine, rails of the sandbox; a production runbook, of which everything holds.
"""

import asyncio
import contextlib
import datetime as dt
import ipaddress
import json
import os
import secrets
import socket
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from cutover.attestation.gather import gather
from cutover.attestation.pinning import drafted
from cutover.clock import SystemClock
from cutover.settings import load_settings
from sandbox.tee.boot import compose_text

RUNBOOK = Path(__file__).parents[2] / "runbooks" / "phased.toml"
DIGEST = "sha256:" + "5a" * 32
IMAGE = f"images.example/agent@{DIGEST}"
PLANES = ("hetzner", "phala")
WAIT_SECONDS = 40
DEADLINE_MS = 15_000


def until(what, ready):
    end = time.monotonic() + WAIT_SECONDS
    while not (found := ready()):
        assert time.monotonic() < end, f"no {what} within {WAIT_SECONDS} s"
        time.sleep(0.02)
    return found


class World:
    """Processes in one folder; all that they say is in its `*.log` files."""

    def __init__(self, folder):
        self.folder, self.data = folder, folder / "run"
        self.config = folder / "cutover.toml"
        self.children = {}
        self.keys = {name: secrets.token_urlsafe(24) for name in (*PLANES, "parity", "client")}
        self.said = []
        """Everything that anybody printed, to be searched for secrets."""

    def __enter__(self):
        (self.folder / "compose.json").write_text(compose_text(IMAGE))
        seed = ("--seed", secrets.token_hex(8), "--root-file", str(self.folder / "root.der"))
        self._sandbox("rails", "serve", "--state-dir", str(self.folder))
        machine = ("--uds", str(self.folder / "d.sock"), "--compose", "compose.json")
        self._sandbox("tee", "tee", *machine, *seed, "--state-file", "tee.json")
        self._sandbox("pccs", "pccs", *seed, "--state-file", "pccs.json")
        self.tee, self.pccs = self._state("tee.json"), self._state("pccs.json")
        self.rails = self._state("world.json")
        for plane in PLANES:
            self.program(plane)
        self.tls = TlsEnd(self.folder, self.port("hetzner"))
        self.entrance = TlsEnd(self.folder, self.port("hetzner"), self.tls.pem)
        self.phala_url = f"https://127.0.0.1:{self.port('phala')}"
        self._pin()
        self.write_config()
        return self

    def __exit__(self, *_):
        self.tls.stop()
        self.entrance.stop()
        for child in self.children.values():
            child.kill()
        for child in self.children.values():
            child.wait()

    def start(self, name, *command, **environment):
        with (self.folder / f"{name}.log").open("ab") as log:
            self.children[name] = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self.folder,
                env={"PATH": os.environ["PATH"], **environment},
            )  # fmt: skip
        return self.children[name]

    def program(self, plane):
        """Start a plane's runtime as it is deployed: by its program and its environment."""
        self.start(plane, sys.executable, "-m", "agent_runtime.main", **self.environment(plane))

    def environment(self, plane, **changes):
        attested = {
            "DSTACK_ENDPOINT": str(self.folder / "d.sock"), "AGENT_TLS": "attested",
            "AGENT_TLS_NAMES": "127.0.0.1",
        }  # fmt: skip
        return {
            **self.rails["planes"][plane]["env"],
            "HOST": "127.0.0.1",
            "PORT": "0",
            "PLANE_ID": plane,
            "BUILD_REVISION": "r1",
            "IMAGE_DIGEST": DIGEST,
            "AGENT_MODE": "production",
            "AGENT_SERVER_API_KEY": self.keys[plane],
            "PARITY_KEY": self.keys["parity"],
            "INGRESS_OWNER": "gateway",
            "PAYMENTS_DB": str(self.folder / f"{plane}.db"),
            "AGENT_LOG_DIR": str(self.folder / f"{plane}-canary"),
            **(attested if plane == "phala" else {"DSTACK_ENDPOINT": str(self.folder / "no.sock")}),
            **changes,
        }

    def port(self, plane):
        return until(f"port of {plane}", lambda: self._serving(plane))

    def write_config(self):
        self.config.write_text(f"""\
[conductor]
data = "run"
near_rpc = ["{self.rails["services"]["near"]}"]
near_sender = "{self.rails["near"]["account"]}"
[gateway]
url = "{self.entrance.url}"
key = "{self.keys["client"]}"
[planes.hetzner]
url = "{self.tls.url}"
key = "{self.keys["hetzner"]}"
image = "{IMAGE}"
[planes.phala]
url = "{self.phala_url}"
key = "{self.keys["phala"]}"
[attestation]
policy = "policy.toml"
pccs = ["{self.pccs["url"]}"]
unsafe_test_root = "root.der"
[live]
analyze = "analyze acme/widgets"
create = "create acme/widgets"
pay = "pay 0.01 USDC to acme/widgets"
""")

    def settings(self, *changes):
        """The configuration with some of its text replaced, as an operator would edit it."""
        text = self.config.read_text()
        for old, new in changes:
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        other = self.folder / f"changed-{secrets.token_hex(4)}.toml"
        other.write_text(text)
        return load_settings(other)

    def control(self, of, method, path, body):
        head = {"authorization": f"Bearer {of['control_token']}"}
        answer = httpx.request(method, of["control"] + path, json=body, headers=head, timeout=10)
        assert answer.status_code < 300, answer.text

    def secrets(self):
        """What must stand nowhere: every key of this world, by name."""
        env = self.rails["env"]
        found = {f"key of {name}": key for name, key in self.keys.items()}
        found |= {p: self.rails["planes"][p]["env"]["NEAR_PRIVATE_KEY"] for p in PLANES}
        named = (
            "GITHUB_TOKEN", "PING_PAY_API_KEY", "PING_PAY_WEBHOOK_SECRET", "HOT_PAY_JWT",
            "EIGENAI_WALLET_PRIVATE_KEY",
        )  # fmt: skip
        found |= {name: env[name].removeprefix("0x") for name in named}
        return found | {"GITHUB_PRIVATE_KEY": env["GITHUB_PRIVATE_KEY"].splitlines()[3]}

    def _sandbox(self, name, *words):
        self.start(name, sys.executable, "-m", "sandbox.main", *words)

    def _state(self, name):
        path = self.folder / name
        until(name, path.exists)
        return json.loads(path.read_text())

    def _serving(self, plane):
        for line in (self.folder / f"{plane}.log").read_text().splitlines():
            said = json.loads(line)
            if said.get("event") == "serving":
                return said["port"]
        assert self.children[plane].poll() is None, (self.folder / f"{plane}.log").read_text()
        return None

    def _pin(self):
        """A policy for the machine as it stands, as an operator approves a first one."""
        folder, root, clock = self.folder / "first", self._root(), SystemClock()
        services, entropy = [self.pccs["url"]], secrets.token_bytes
        got = asyncio.run(
            gather(self.phala_url, services, folder, clock, entropy, root, DEADLINE_MS)
        )
        assert got.complete, got.troubles
        policy = drafted("phala", folder, root, clock.wall_ms() // 1000, "r1", "a test")
        assert isinstance(policy, str), policy
        (self.folder / "policy.toml").write_text(policy)

    def _root(self):
        return (self.folder / "root.der").read_bytes()


def certificate(folder, name, days=30, host="127.0.0.1"):
    """A self-signed certificate that is its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "fallback")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(subject)
        .public_key(key.public_key()).serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1)).not_valid_after(now + dt.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName(
            [x509.IPAddress(ipaddress.ip_address(host))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    path = folder / f"{name}.pem"
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


class TlsEnd:
    """What an operator's proxy does for the fallback: ends TLS, passes bytes on."""

    def __init__(self, folder, port, pem=None, **wanted):
        self.pem = pem or certificate(folder, f"tls-{secrets.token_hex(4)}", **wanted)
        self._to = port
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(self.pem)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self):
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._socket.accept()
                threading.Thread(target=self._carry, args=(near,), daemon=True).start()

    def _carry(self, near):
        with near, contextlib.suppress(OSError):
            secure = self._context.wrap_socket(near, server_side=True)
            with secure, socket.create_connection(("127.0.0.1", self._to)) as far:
                threading.Thread(target=self._pump, args=(far, secure), daemon=True).start()
                self._pump(secure, far)

    @staticmethod
    def _pump(source, sink):
        with contextlib.suppress(OSError, ValueError):
            while data := source.recv(65_536):
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)
