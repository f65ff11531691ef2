"""A whole run on real processes, of which one or more die where they are told to.

Whoever dies is started again at once, as systemd would; the run is played to its end.
"""

import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from conductor.theatre import Theatre, until
from crash.clients import CarefulClient
from cutover.crashpoint import POINTS, VARIABLE, Process

LAUNCH = (sys.executable, str(Path(__file__).parent / "launch.py"))
RUN_SECONDS = 240
"""For a whole run on a busy machine; a quiet one needs a tenth."""
KILLED = -signal.SIGKILL
WORKER_KILLED = f"ended with code {KILLED}"


@dataclass(frozen=True)
class Crash:
    """The point at which a process dies, and at which passing of it."""

    name: str
    passing: int = 1

    def __str__(self):
        return f"{self.name}:{self.passing}"

    @property
    def victim(self):
        """The process that is killed, by the name that `Play.died` has for it."""
        victims = {Process.CONDUCTOR: "conductor", Process.NODE: "gateway"}
        return victims.get(POINTS[self.name].process, "worker")


FORGIVING = (("percent = 2\nwindow", "percent = 99\nwindow"),)
"""One payment that was cut is no reason to roll back here: the run is to be compared to its end."""


class Play(Theatre):
    """One run; whoever is to die gets his next crash at each start.

    Attributes:
        died: the names of the processes that were killed, in that order.
    """

    def __init__(self, folder, *crashes):
        super().__init__(folder, FORGIVING)
        self.crashes = crashes
        self._plans = {"conductor": [], "gateway": []}
        for crash in crashes:
            self._plans["conductor" if crash.victim == "conductor" else "gateway"].append(crash)
        self._killed = []

    @property
    def died(self):
        workers = self.whole_log("gateway").count(WORKER_KILLED)
        return [*self._killed, *["worker"] * workers]

    def plane_options(self, name):
        return ("--executions", str(self.folder / f"{name}.executions"), "--keeps-keys")

    def perform(self):
        """From the first process to the end of the run; raises if it does not come to it."""
        self.planes("--tee")
        self._begin("conductor")
        self._until("conductor", (self.data / "conductor.json").exists)
        self._begin("gateway")
        self._until("table in force", self.is_ready)
        self.clients = CarefulClient(self.gateway_url, self.keys["client"])
        if any(crash.name.startswith("order.") for crash in self.crashes):
            self._order("hold")
            self._order("resume")
        self._until("end of the run", lambda: self.children["conductor"].poll() == 0)
        self._until("gateway", self.is_ready)
        self.clients.stop()

    def close(self):
        """End the gateway in good order; returns its exit code."""
        child = self.children["gateway"]
        child.send_signal(signal.SIGTERM)
        return child.wait(60)

    def whole_log(self, name):
        path = self.folder / f"{name}.log"
        return path.read_text("utf-8", "replace") if path.exists() else ""

    def _begin(self, name):
        plan = self._plans[name].pop(0) if self._plans[name] else None
        words = ["run", str(self.runbook)] if name == "conductor" else ["gateway"]
        armed = {VARIABLE: str(plan)} if plan else {}
        self.start(name, *LAUNCH, *words, "--config", str(self.config), **armed)

    def _order(self, verb):
        """Say it until it is heard: an operator whose conductor dies says it again."""
        self._until(verb, lambda: self.cli(verb, "--reason", "rehearsal").returncode == 0)

    def _until(self, what, ready):
        until(what, lambda: self._all_alive() and ready(), RUN_SECONDS, self.story)

    def _all_alive(self):
        """Start again whoever was killed; any other end but a good one is a failure."""
        alive = True
        for name in ("conductor", "gateway"):
            child = self.children.get(name)
            code = child.poll() if child else None
            if code == KILLED:
                self._killed.append(name)
                self._begin(name)
                alive = False
            assert code in (None, 0, KILLED), f"{name} ended with {code}\n{self.story()}"
        return alive
