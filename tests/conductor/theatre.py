"""Real processes for end-to-end tests: two foreign planes, a conductor, a gateway, a few clients.

All they are told is in one TOML file: addresses and keys.
"""

import contextlib
import itertools
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx

from cutover.journal.store import Journal

HERE = Path(__file__).parent
DEMO = HERE.parents[1] / "runbooks" / "demo.toml"
CUTOVER = (sys.executable, "-m", "cutover")
WAIT_SECONDS = 60
QUICK = (
    ('"6s", canary_runs = 4', '"2s", canary_runs = 2'),
    ('"8s", canary_runs = 0, answers = 20', '"1s", canary_runs = 0, answers = 3'),
    ('"14s", canary_runs = 0, answers = 40', '"2s", canary_runs = 0, answers = 6'),
    ('clean = "6s"\nanswers = 20', 'clean = "1s"\nanswers = 4'),
    ('"10s", canary_runs = 0, answers = 50', '"1s", canary_runs = 0, answers = 6'),
    ('canary_every = "1500ms"', 'canary_every = "1s"'),
    ('canary_deadline = "1400ms"', 'canary_deadline = "950ms"'),
    ('longer_than = "3s"', 'longer_than = "15s"'),
    ("runs = 2\nshared_cause", "runs = 4\nshared_cause"),
    ("min_conversations = 24", "min_conversations = 8"),
    ("min_answers = 50", "min_answers = 5"),
)
"""The demo's runbook for a rehearsal in seconds, patient with a busy machine."""


def runbook_text(*changes):
    text = DEMO.read_text("utf-8")
    for old, new in (*QUICK, *changes):
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def until(what, ready, seconds=WAIT_SECONDS, tell=lambda: ""):
    """Wait for a condition, with a deadline that a busy machine can keep."""
    end = time.monotonic() + seconds
    while not (found := ready()):
        assert time.monotonic() < end, f"no {what} within {seconds} s\n{tell()}"
        time.sleep(0.03)
    return found


class Theatre:
    """One run's world in one folder."""

    def __init__(self, folder, changes=(), keys=None):
        self.folder, self.data = folder, folder / "run"
        self.config, self.runbook = folder / "cutover.toml", folder / "runbook.toml"
        self.keys = keys or {n: f"key-of-{n}-0123456789" for n in ("hetzner", "phala", "client")}
        self.secret = self.keys.get("hook", "hook-secret")
        self.runbook.write_text(runbook_text(*changes))
        self.children = {}
        self.clients = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.clients:
            self.clients.stop()
        for child in self.children.values():
            if child.poll() is None:
                child.kill()
            child.wait()

    def start(self, name, *command, **environment):
        with (self.folder / f"{name}.log").open("ab") as log:
            self.children[name] = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self.folder,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
            )  # fmt: skip
        return self.children[name]

    def log(self, name):
        path = self.folder / f"{name}.log"
        return path.read_text("utf-8", "replace")[-3_000:] if path.exists() else ""

    def planes(self, *candidate):
        """Start both planes; `candidate` are the options of the one that we go to."""
        urls = {}
        tls = ("--tls", str(self.folder / "tee"))
        for name, options in (("hetzner", ()), ("phala", (*tls, *candidate))):
            port = self.folder / f"{name}.port"
            command = [sys.executable, str(HERE / "foreign.py"), "--port-file", str(port)]
            command += ["--key", self.keys[name], "--secret", self.secret]
            self.start(name, *command, *options, *self.plane_options(name))
            until(f"port of {name}", port.exists)
            scheme = "http" if name == "hetzner" else "https"
            urls[name] = f"{scheme}://127.0.0.1:{port.read_text()}"
        self.write_config(urls)

    def plane_options(self, name):
        """What both planes are told, for worlds that look closely."""
        return ()

    def write_config(self, urls):
        # A loopback address of its own: no other world is given the port before the gateway has it.
        host = "127." + ".".join(str(1 + secrets.randbelow(254)) for _ in range(3))
        with socket.socket() as free:
            free.bind((host, 0))
            port = free.getsockname()[1]
        self.gateway_url = f"http://{host}:{port}"
        self.config.write_text(
            f'[conductor]\ndata = "run"\n[gateway]\nhost = "{host}"\nport = {port}\n'
            f'key = "{self.keys["client"]}"\nwebhook_secret = "{self.secret}"\n'
            "report_every_ms = 100\n"
            + "".join(
                f'[planes.{name}]\nurl = "{url}"\nkey = "{self.keys[name]}"\n'
                for name, url in urls.items()
            )
            + self._attestation()
        )

    def _attestation(self):
        """Against what the candidate's proof is held."""
        known = self.folder / "tee" / "pccs.json"
        until("collateral service", known.exists, tell=lambda: self.log("phala"))
        url = json.loads(known.read_text())["url"]
        return (
            f'[attestation]\npolicy = "tee/policy.toml"\npccs = ["{url}"]\n'
            'unsafe_test_root = "tee/root.der"\n'
        )

    def conductor(self):
        known = self.data / "conductor.json"
        known.unlink(missing_ok=True)
        command = [*CUTOVER, "run", str(self.runbook), "--config", str(self.config)]
        child = self.start("conductor", *command)
        until("conductor", lambda: known.exists() or child.poll() is not None,
              tell=lambda: self.log("conductor"))  # fmt: skip
        return child

    def gateway(self):
        self.start("gateway", *CUTOVER, "gateway", "--config", str(self.config))
        until("table in force", self.is_ready, tell=lambda: self.log("gateway"))

    def is_ready(self):
        try:
            return httpx.get(f"{self.gateway_url}/ready", trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    def traffic(self):
        self.clients = Clients(self.gateway_url, self.keys["client"])

    def cli(self, *words, **more):
        """One verb of the CLI against this run."""
        environment = {**os.environ, "CUTOVER_DATA": str(self.data), "CUTOVER_ACTOR": "ann"}
        return subprocess.run(
            [*CUTOVER, *words], capture_output=True, text=True, timeout=WAIT_SECONDS, check=False,
            env=environment, cwd=self.folder, **more,
        )  # fmt: skip

    def entries(self):
        path = self.data / "journal.db"
        if not path.exists():
            return []
        with Journal.open_read_only(path) as reader:
            return list(reader.entries())

    def facts(self, *kinds):
        return [entry.fact for entry in self.entries() if type(entry.fact).__name__ in kinds]

    def stages(self):
        return [fact.stage for fact in self.facts("OpenStage")]

    def ended(self, seconds=WAIT_SECONDS):
        """The conductor's exit code, when it has one."""
        child = self.children["conductor"]
        until("end of the run", lambda: child.poll() is not None, seconds, self.story)
        return child.returncode

    def story(self):
        status = self.cli("status")
        return f"{status.stdout}{status.stderr}\n{self.log('conductor')}\n{self.log('gateway')}"


class Clients:
    """Conversations in a steady stream, each with a text of its own."""

    TEXTS = ("analyze a/b", "create a/b", "analyze a/c", "pay 0.01 USDC to a/b", "create a/c")

    def __init__(self, url, key):
        self.answered, self.failed = 0, []
        self._stop = threading.Event()
        self._headers = {"x-agent-api-key": key}
        self._url = url
        self._thread = threading.Thread(target=self._talk, daemon=True)
        self._thread.start()

    def stop(self):
        self._stop.set()
        self._thread.join(30)

    def _talk(self):
        with httpx.Client(base_url=self._url, trust_env=False, timeout=30) as client:
            for number in itertools.count():
                if self._stop.wait(0.015):
                    return
                body = {"text": self.TEXTS[number % 5], "author": f"u{number}", "type": "web"}
                with contextlib.suppress(httpx.ConnectError):
                    answer = client.post("/process", json=body, headers=self._headers)
                    self.answered += 1
                    if answer.status_code != 200:
                        self.failed.append((answer.status_code, json.dumps(body), answer.text))


def kill(child):
    """What no process can prepare for."""
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
