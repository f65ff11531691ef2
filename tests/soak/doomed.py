"""The runtime's program as it is, with short deadlines and a step at which it kills itself.

Run as a program. `SOAK_DIE_AT=n` is the n-th step of all that leave a trace somewhere: a statement
that changes the ledger (a COMMIT counts just before it happens), or a NEAR call just before it
leaves and just after its answer is here. Between two such steps nothing can be lost or doubled, so
this reaches every place where a death matters. `SOAK_DIED` is the file that tells at which step.
"""

import json
import os
import signal
import sqlite3
from importlib import import_module
from pathlib import Path

from agent_runtime import wire
from agent_runtime.main import main

SHORT = {
    "http.app": {"RECONCILE_SECONDS": 0.3},
    "intents.paylegs": {"AGAIN_SECONDS": 0.8, "LEGS_SECONDS": 3.0},
    "near.absence": {"MARGIN_BLOCKS": 30},
    "near.death": {"LOOK_SECONDS": 0.2},
    "near.fence": {"FENCE_AFTER_SECONDS": 0.5, "FENCE_SECONDS": 0.4},
    "near.resolver": {"PAUSE_SECONDS": 0.03},
    "near.rpc": {"READ_SECONDS": 0.3},
    "near.sender": {
        "SEND_SECONDS": 0.25,
        "RESOLVE_SECONDS": 0.6,
        "LOCK_SECONDS": 3.0,
        "CLEAR_SECONDS": 0.6,
        "BLOCK_FRESH_SECONDS": 0.5,
        "SETTLE_SECONDS": 1.5,
    },
}
"""Nothing but durations, one of them in blocks (more than a node of the weather is behind): what is
done within them is the program's own."""

CHANGES = ("INSERT", "UPDATE", "DELETE", "COMMIT")


def shorten():
    for name, values in SHORT.items():
        module = import_module(f"agent_runtime.{name}")
        for constant, seconds in values.items():
            if not hasattr(module, constant):
                raise SystemExit(f"agent_runtime.{name} has no {constant}: correct {__file__}")
            setattr(module, constant, seconds)


class Doom:
    """Counts steps, and dies at one."""

    def __init__(self, at, path):
        self._left, self._path, self._last = at, path, ""

    def statement(self, sql):
        if not sql.startswith(CHANGES):
            return
        words = [word for word in sql.split()[:5] if word not in {"OR", "IGNORE", "REPLACE"}]
        what = " ".join(words[:3])
        if what == "COMMIT":
            what = f"COMMIT after {self._last}"
        else:
            self._last = what
        self.step(what)

    def step(self, what):
        self._left -= 1
        if self._left == 0:
            Path(self._path).write_text(what, "utf-8")
            os.kill(os.getpid(), signal.SIGKILL)


def die(doom):
    connect, ask = sqlite3.connect, wire.ask

    def traced(*given, **named):
        found = connect(*given, **named)
        found.set_trace_callback(doom.statement)
        return found

    async def counted(client, rail, *given, **named):
        method = json.loads(named["content"])["method"] if rail == "near" else ""
        if method not in {"send_tx", "tx"}:
            return await ask(client, rail, *given, **named)
        doom.step(f"before {method}")
        found = await ask(client, rail, *given, **named)
        doom.step(f"after {method}")
        return found

    sqlite3.connect, wire.ask = traced, counted


if __name__ == "__main__":
    shorten()
    if os.environ["SOAK_DIE_AT"] != "0":
        die(Doom(int(os.environ["SOAK_DIE_AT"]), os.environ["SOAK_DIED"]))
    main()
