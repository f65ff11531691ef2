"""The confidential machine of the demo's candidate, and what its proofs are checked against.

A guest agent, Intel's collateral service and the way to the plane are stand-ins that speak the real
formats under a test root of this demo alone; the plane's runtime and its verification are real.
"""

import asyncio
import hashlib
import secrets
import sys
from pathlib import Path
from typing import Any, Final

from cutover.attestation.gather import gather
from cutover.attestation.pinning import Refused, drafted
from cutover.clock import SystemClock
from cutover.demo.controls import Controls, state_of
from cutover.demo.processes import DemoError, Processes

START_SECONDS: Final = 30.0
EVIDENCE_MS: Final = 10_000
_SANDBOX: Final = (sys.executable, "-m", "sandbox.main")


class Machine:
    """The machine that the candidate's runtime runs on.

    Args:
        folder: of the demo.
        processes: where its parts are started.
        port: on which the candidate's runtime will listen.
    """

    def __init__(self, folder: Path, processes: Processes, port: int) -> None:
        self.socket = folder / "dstack.sock"
        self.policy = folder / "phala.policy.toml"
        self.root = folder / "test-root.der"
        self._folder = folder
        self._processes = processes
        self._port = port
        self._seed = secrets.token_hex(16)
        self._state: dict[str, dict[str, Any]] = {}

    def start(self) -> None:
        """Start guest agent and collateral service; both answer when this returns."""
        root = ["--root-file", str(self.root)]
        self._start("guest-agent", "tee", "--uds", str(self.socket), "--seed", self._seed, *root)
        self._start("collateral", "pccs", "--seed", self._seed)

    def open_way(self) -> None:
        """Start the way from outside to the runtime's TLS; bytes pass through it untouched."""
        self._start("front", "front", "--upstream", f"127.0.0.1:{self._port}")

    @property
    def url(self) -> str:
        """Where the candidate is reached from outside."""
        return str(self._state["front"]["url"])

    @property
    def collateral_url(self) -> str:
        """Where collateral comes from."""
        return str(self._state["collateral"]["url"])

    def pin(self) -> None:
        """Draft the policy from the machine as it stands, as an operator approves a first one.

        Raises:
            DemoError: it gave no evidence, or does not pass.
        """
        evidence, root, clock = (
            self._folder / "first-evidence",
            self.root.read_bytes(),
            SystemClock(),
        )
        got = asyncio.run(
            gather(
                self.url, [self.collateral_url], evidence, clock, secrets.token_bytes, root,
                EVIDENCE_MS,
            )
        )  # fmt: skip
        if not got.complete:
            raise DemoError(f"no whole evidence of {self.url}: {'; '.join(got.troubles)}")
        now = clock.wall_ms() // 1000
        found = drafted("phala", evidence, root, now, "demo", "the machine that was just started")
        if isinstance(found, Refused):
            raise DemoError(f"the first evidence does not pass: {'; '.join(found.reasons)}")
        self.policy.write_text(found)

    def lose_guest_agent(self) -> None:
        """Nobody answers on the guest agent's socket any more."""
        self._controls("guest-agent").put("/listening", {"listening": False})

    def lie(self, variant: str) -> None:
        """Every quote from now on is a lie of that name."""
        rule = {"service": "guest", "operation": "GetQuote", "kind": "wrong", "variant": variant}
        self._controls("guest-agent").put("/faults", [rule])

    def recover_tcb(self) -> None:
        """A TCB recovery: by the next evaluation set the platform is out of date."""
        later = {"standard": {"number": 21, "status": "OutOfDate", "advisories": ["INTEL-SA-0"]}}
        self._controls("collateral").patch("/collateral", later)

    def lose_collateral(self) -> None:
        """Nobody answers at the collateral service any more."""
        self._controls("collateral").put("/listening", {"listening": False})

    def step_between(self) -> None:
        """Somebody with a TLS key of his own takes the way to the plane."""
        self._controls("front").put("/mode", {"mode": "swap"})

    def change_compose(self) -> None:
        """The machine starts again with another image than was agreed."""
        boot = self._controls("guest-agent").get("/machine")["boot"]
        before = str(boot["compose"])
        agreed = before.partition("sha256:")[2][:64]
        other = hashlib.sha256(b"another image").hexdigest()
        self._controls("guest-agent").post(
            "/machine/restart", {"compose": before.replace(agreed, other)}
        )

    def _start(self, name: str, verb: str, *arguments: str) -> None:
        file = self._folder / f"{name}.json"
        self._processes.start(name, [*_SANDBOX, verb, *arguments, "--state-file", str(file)])
        self._processes.wait(name, "address", file.exists, START_SECONDS)
        self._state[name] = state_of(file)

    def _controls(self, name: str) -> Controls:
        return Controls.of(self._state[name])
