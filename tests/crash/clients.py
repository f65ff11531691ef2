"""A client that remembers what it asked, and what became of it."""

import contextlib
import itertools
import threading
from dataclasses import dataclass

import httpx

TEXTS = ("analyze a/b", "create a/b", "analyze a/c", "pay 0.01 USDC to a/b", "create a/c")
PAUSE_SECONDS = 0.015


@dataclass(frozen=True)
class Asked:
    """One request: its idempotency key, its text, and the answer's status and code.

    No status: it was sent, and the connection ended before an answer. Nobody knows what became of
    it, so a careful client does not send it again.
    """

    key: str
    text: str
    status: int | None
    code: str = ""


class CarefulClient:
    """One conversation after another over one connection; each text has a key of its own.

    What was surely not sent is sent again until it is answered: the node may be starting.
    """

    def __init__(self, url, key):
        self.asked = []
        self._headers = {"x-agent-api-key": key}
        self._stop = threading.Event()
        self._url = url
        self._thread = threading.Thread(target=self._talk, daemon=True)
        self._thread.start()

    def stop(self):
        self._stop.set()
        self._thread.join(60)
        assert not self._thread.is_alive(), "a client waits for its answer"

    def _talk(self):
        with httpx.Client(base_url=self._url, trust_env=False, timeout=60) as client:
            for number in itertools.count():
                while not self._stop.wait(PAUSE_SECONDS):
                    with contextlib.suppress(httpx.ConnectError):
                        self.asked.append(self._ask(client, number))
                        break
                if self._stop.is_set():
                    return

    def _ask(self, client, number):
        key, text = f"client-{number}", TEXTS[number % len(TEXTS)]
        headers = {**self._headers, "idempotency-key": key}
        body = {"text": text, "author": f"u{number}", "type": "web"}
        try:
            answer = client.post("/process", json=body, headers=headers)
        except httpx.ConnectError:
            raise
        except httpx.TransportError as error:
            return Asked(key, text, None, type(error).__name__)
        code = "" if answer.status_code == 200 else answer.json().get("code", "")
        return Asked(key, text, answer.status_code, code)
