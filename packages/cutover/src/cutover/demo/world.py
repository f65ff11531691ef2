"""The demo's world: rails, two planes, one of them attested, conductor, gateway, and clients.

The product never imports the stand-ins: they are programs, started like any other.
"""

import json
import secrets
import socket
import sys
from pathlib import Path
from typing import Any, Final

import httpx

from cutover.conductor.address import ADDRESS_FILE
from cutover.demo.controls import Controls, state_of
from cutover.demo.machine import Machine
from cutover.demo.processes import Processes

START_SECONDS: Final = 30.0
PLANES: Final = ("hetzner", "phala")
RATE: Final = 16.0
"""Client requests a second."""

MIX: Final = "analyze=70,create=20,pay=10"
PAY_REPOS: Final = ",".join(f"demo/pay-{n}" for n in range(1, 9))
"""Where clients pay; the live intents use a repository of their own."""

MARKED: Final = (
    "EIGENAI_API_BASE", "GITHUB_API_BASE", "HOT_PAY_API_BASE", "NEAR_NODE_URL", "NEYNAR_API_BASE",
    "PING_PAY_API_BASE",
)  # fmt: skip
"""Addresses by which the rails tell the planes apart; all else is the same on both."""


class World:
    """Everything that a run needs, on one machine.

    Args:
        folder: of this demo: state, logs, journal.
        runbook: the file to execute.
        relay: put a link that can fail between gateway and conductor.
    """

    def __init__(self, folder: Path, runbook: Path, *, relay: bool) -> None:
        self.folder = folder
        self.data = folder / "run"
        self.config = folder / "cutover.toml"
        self.traffic_file = folder / "traffic.json"
        self.processes = Processes(_made(folder / "logs"))
        self._runbook = runbook
        self._relay = relay
        self._ports = dict(zip((*PLANES, "gateway", "conductor"), _free_ports(4), strict=True))
        self._keys = {name: secrets.token_urlsafe(24) for name in (*PLANES, "client", "parity")}
        self._world: dict[str, Any] = {}
        self._link: dict[str, Any] = {}
        self.machine = Machine(folder, self.processes, self._ports["phala"])

    def start(self) -> None:
        """Start everything but the clients, and wait until each part answers."""
        self._start_rails()
        self.machine.start()
        self.machine.open_way()
        for plane in PLANES:
            self.start_plane(plane)
        self.machine.pin()
        self._write_config()
        self.start_conductor()
        if self._relay:
            self._start_relay()
        self.start_gateway()

    def start_plane(self, plane: str, **changes: str) -> None:
        """Start a plane's runtime; `changes` override its environment."""
        home = _made(self.folder / plane)
        environment = {
            **self._world["planes"][plane]["marked_env"],
            "HOST": "127.0.0.1",
            "PORT": str(self._ports[plane]),
            "PLANE_ID": plane,
            "BUILD_REVISION": "demo",
            "AGENT_MODE": "production",
            "AGENT_SERVER_API_KEY": self._keys[plane],
            "PARITY_KEY": self._keys["parity"],
            "INGRESS_OWNER": "gateway",
            "PAYMENTS_DB": str(home / "payments.db"),
            "AGENT_LOG_DIR": str(home),
            **(self._attested() if plane == "phala" else {}),
            **changes,
        }
        self.processes.start(plane, [sys.executable, "-m", "agent_runtime.main"], environment)
        self.processes.wait(plane, "answer", lambda: _answers(self.plane_url(plane)), START_SECONDS)

    def _attested(self) -> dict[str, str]:
        return {"DSTACK_ENDPOINT": str(self.machine.socket), "AGENT_TLS": "attested"}

    def start_conductor(self) -> None:
        """Start the conductor, or start it again after a crash."""
        (self.data / ADDRESS_FILE).unlink(missing_ok=True)
        command = [*_CUTOVER, "run", str(self._runbook), "--config", str(self.config)]
        self.processes.start("conductor", command)
        known = self.data / ADDRESS_FILE
        self.processes.wait("conductor", "control API", known.exists, START_SECONDS)

    def start_gateway(self) -> None:
        """Start the gateway node, or start it again after a crash."""
        self.processes.start("gateway", [*_CUTOVER, "gateway", "--config", str(self.config)])
        url = f"{self.gateway_url}/ready"
        self.processes.wait("gateway", "table in force", lambda: _is_ready(url), START_SECONDS)

    def start_traffic(self) -> None:
        """Let clients begin; each checks every answer it gets."""
        command = [
            sys.executable, "-m", "sandbox.main", "traffic", "--url", self.gateway_url,
            "--rate", f"{RATE:g}", "--mix", MIX, "--planes", ",".join(PLANES),
            "--repos", "near/near-sdk-rs,acme/widgets", "--pay-repos", PAY_REPOS,
            "--json-out", str(self.traffic_file),
        ]  # fmt: skip
        self.processes.start("traffic", command, {"TRAFFIC_KEY": self._keys["client"]})
        known = self.traffic_file
        self.processes.wait("traffic", "first answers", known.exists, START_SECONDS)

    def stop(self) -> None:
        """End everything."""
        self.processes.stop_all()

    @property
    def gateway_url(self) -> str:
        """Where clients connect."""
        return f"http://127.0.0.1:{self._ports['gateway']}"

    def plane_url(self, plane: str) -> str:
        """Where a plane answers; the candidate by the way that leads to its own TLS."""
        return self.machine.url if plane == "phala" else f"http://127.0.0.1:{self._ports[plane]}"

    def traffic(self) -> dict[str, Any]:
        """What the clients have counted so far."""
        try:
            found: dict[str, Any] = json.loads(self.traffic_file.read_text())
        except (OSError, ValueError):
            return {"total": 0, "ok": 0, "failed": 0, "refused": 0}
        return found

    def set_faults(self, faults: list[dict[str, Any]]) -> None:
        """Tell the rails how to fail."""
        Controls.of(self._world).put("/faults", faults)

    def set_link(self, mode: str) -> None:
        """Tell the link between gateway and conductor how to fail."""
        Controls.of(self._link).put("/mode", {"mode": mode})

    def _start_rails(self) -> None:
        state = self.folder / "rails"
        command = [sys.executable, "-m", "sandbox.main", "serve", "--state-dir", str(state)]
        self.processes.start("rails", command)
        known = state / "world.json"
        self.processes.wait("rails", "world.json", known.exists, START_SECONDS)
        self._world = state_of(known)

    def _start_relay(self) -> None:
        state = self.folder / "link.json"
        upstream = f"http://127.0.0.1:{self._ports['conductor']}"
        command = [sys.executable, "-m", "sandbox.main", "relay", "--upstream", upstream]
        self.processes.start("link", [*command, "--state-file", str(state)])
        self.processes.wait("link", "address", state.exists, START_SECONDS)
        self._link = state_of(state)
        text = self.config.read_text()
        self.config.write_text(
            text.replace("[gateway]", f'[gateway]\nconductor = "{self._link["url"]}"')
        )

    def _write_config(self) -> None:
        rails = self._world["services"]
        secret = self._world["env"]["PING_PAY_WEBHOOK_SECRET"]
        account = self._world["env"]["NEAR_ACCOUNT_ID"]
        planes = "\n".join(
            f'[planes.{name}]\nurl = "{self.plane_url(name)}"\nkey = "{self._keys[name]}"\n'
            for name in PLANES
        )
        self.config.touch(mode=0o600)
        self.config.write_text(f"""# written by `cutover demo`
[conductor]
port = {self._ports["conductor"]}
data = "{self.data}"
near_rpc = ["{rails["near"]}"]
near_sender = "{account}"
reference_url = "{rails["github"]}/"

[gateway]
port = {self._ports["gateway"]}
workers = 2
key = "{self._keys["client"]}"
webhook_secret = "{secret}"
report_every_ms = 200

{planes}
[attestation]
policy = "{self.machine.policy}"
pccs = ["{self.machine.collateral_url}"]
refresh_seconds = 3
unsafe_test_root = "{self.machine.root}"

[preconditions]
may_differ = [{", ".join(f'"{name}"' for name in MARKED)}]

[live]
analyze = "analyze acme/widgets"
create = "create acme/widgets"
pay = "pay 0.01 USDC to acme/widgets"
""")


_CUTOVER: Final = (sys.executable, "-m", "cutover")


def _made(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path


def _free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def _answers(url: str) -> bool:
    try:
        answer = httpx.get(
            f"{url}/health",
            timeout=2.0,
            trust_env=False,
            verify=False,  # noqa: S501 - whether anybody is there; who, the conductor finds out
        )
    except httpx.HTTPError:
        return False
    return answer.status_code == 200


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2.0, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False
