"""Somebody else's plane: the HTTP contract as today's service answers it, and nothing of ours.

Standard library only, but for the proof of what it runs on (`attested.py`). No `x-plane` header, no
`plane` field, `/canary/run` without a key, every business failure a 200 with a cross in front. Run
as a program:

    foreign.py --port-file F --key K [--tls D [--tee]] [--claims] [--invoices] [--secret S]
               [--executions F] [--keeps-keys]

`--tls` makes it speak TLS and leaves in that folder what a verifier needs; `--tee` makes it say
that it is attested, and prove it; `--claims` makes it only say so.

`--executions` writes a line of JSON for every text that it was told, before it answers: `text`,
`author`, `key` (the idempotency key) and `executed`. Today's service keeps no keys; told to, by
`--keeps-keys`, this one answers a key that it knows as before, and executes nothing again.
"""

import argparse
import hashlib
import hmac
import itertools
import json
import re
import secrets
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
STARTED = time.time()
NUMBERS = itertools.count(1)
GUIDE = "I didn't understand that. Try: analyze github.com/owner/repo"


def near_hash():
    """Base58 of 32 bytes, as a transaction on NEAR is named."""
    number = int.from_bytes(b"\x01" + secrets.token_bytes(31), "big")
    text = ""
    while number:
        number, rest = divmod(number, 58)
        text = BASE58[rest] + text
    return text


def analyze(repo, _):
    signature = secrets.token_hex(65)
    return (
        f"📊 Analysis for {repo}\nTotal commits: 10\nContributors: 2\n\nTop contributors:\n"
        "🥇 ann: 6 commits (60%)\n🥈 bob: 4 commits (40%)\n\n"
        f"🛡️ Verifiable AI Insight: fine.\n"
        f"🔗 Proof: https://determinal.eigenarcade.com/verify/{signature}"
    )


def create(repo, _):
    return f"✅ Split created for {repo}!\n📜 Split ID: split-18765432{next(NUMBERS)}-1\n- ann: 60%"


def pay(repo, options):
    reference = f"intent-{secrets.token_hex(4)}" if options.invoices else near_hash()
    return (
        "✅ Distributed 0.01 USDC to 2 payout-eligible verified contributors via pingpay!\n"
        "Coverage: 2/2 contributors eligible+verified\nPayment mode: agent_rails_pingpay\n"
        f"🔗 Transaction: {reference}\n📜 Split: split-187654321-1 for {repo}"
    )


FORMS = (
    (re.compile(r"analyze (\S+)", re.IGNORECASE), analyze),
    (re.compile(r"create (\S+)", re.IGNORECASE), create),
    (re.compile(r"pay \d[\d.]* \w+ to (\S+)", re.IGNORECASE), pay),
)


def respond(text, options):
    plain = re.sub(r"^@\w+ ", "", text)
    for form, answer in FORMS:
        if found := form.search(plain):
            return answer(f"github.com/{found[1]}", options)
    return GUIDE


class Book:
    """What was executed under which key: one line a text, one answer a key."""

    def __init__(self, options):
        self._options = options
        self._turn = threading.Lock()
        self._answers = {}

    def respond(self, key, body):
        with self._turn:
            known = self._answers.get(key) if key and self._options.keeps_keys else None
            self._write(key, body, executed=known is None)
            answer = known or respond(body["text"], self._options)
            self._answers[key] = answer
            return answer

    def _write(self, key, body, *, executed):
        if self._options.executions is None:
            return
        line = {"text": body["text"], "author": body.get("author"), "key": key}
        with self._options.executions.open("a") as log:
            log.write(json.dumps({**line, "executed": executed}) + "\n")


def canary(options):
    details = {
        "github": '{"full_name":"near/near-sdk-rs"}',
        "near": '{"connected":true}',
        "pingpay": '{"ok":true,"status":200}',
        "hotpay": '{"ok":true,"status":200}',
        "eigenai": '{"hasGrant":true,"tokenCount":5000}',
    }
    checks = {name: {"ok": True, "details": said} for name, said in details.items()}
    return {"at": "2026-02-23T00:00:00.000Z", "ok": True, "checks": checks}


def health(options):
    said = options.tee or options.claims
    services = dict.fromkeys(("github", "near", "pingpay", "eigenai"), "available")
    return {
        "status": "healthy",
        "timestamp": "2026-02-23T00:00:00.000Z",
        "uptime": int((time.time() - STARTED) * 1000),
        "version": "2.0.0",
        "services": {
            "farcaster": "disabled", **services, "teeWallet": "tee" if said else "mock",
        },
        "compute": "Secure TEE (Phala dstack)" if said else "Standard (Local)",
        "readiness": {"ready": True, "reasons": []},
        "metrics": {"requests": 0, "errors": 0},
    }  # fmt: skip


class Handler(BaseHTTPRequestHandler):
    """One request after another on a kept connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    options = None
    book = None
    machine = None
    turn = threading.Lock()

    def do_GET(self):
        path, _, query = self.path.partition("?nonce=")
        if path == "/.well-known/attestation" and self.options.tee:
            with self.turn:
                evidence = self.machine.evidence(query)
            self.say(200, evidence)
            return
        routes = {
            "/": lambda: {"name": "agent", "version": "2.0.0", "description": "", "endpoints": {}},
            "/health": lambda: health(self.options),
            "/ready": lambda: {"ready": True, "reasons": [], "services": {}},
            "/canary": lambda: {"result": None, "logFile": "x"},
        }
        route = routes.get(self.path)
        self.say(200, route()) if route else self.say(404, {"error": "Not Found"})

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        if self.path == "/canary/run":
            self.say(200, canary(self.options))
        elif self.path == "/process":
            self.process(body)
        elif self.path == "/webhook/pingpay":
            self.webhook(body)
        else:
            self.say(404, {"error": "Not Found"})

    def process(self, body):
        if self.headers.get("x-agent-api-key") != self.options.key:
            self.say(401, {"error": "Unauthorized"})
            return
        try:
            key = self.headers.get("idempotency-key", "")
            self.say(200, {"response": self.book.respond(key, json.loads(body))})
        except (ValueError, KeyError) as error:
            self.say(500, {"error": str(error)})

    def webhook(self, body):
        at = self.headers.get("x-ping-timestamp", "")
        signed = at.encode() + b"." + body
        good = hmac.new(self.options.secret.encode(), signed, hashlib.sha256).hexdigest()
        fits = hmac.compare_digest(good, self.headers.get("x-ping-signature", ""))
        self.say(200, {"ok": True}) if fits else self.say(401, {"error": "Invalid signature"})

    def say(self, status, value):
        raw = json.dumps(value, ensure_ascii=False).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Access-Control-Allow-Origin", "*")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_):
        """Silence; the tests read no log of it."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    context = None

    def finish_request(self, request, client_address):
        """TLS begins in the connection's own thread: a silent caller holds up nobody."""
        if self.context is not None:
            try:
                request = self.context.wrap_socket(request, server_side=True)
            except OSError:
                return  # somebody who hung up because of our key
        super().finish_request(request, client_address)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port-file", type=Path, required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("--secret", default="hook-secret")
    parser.add_argument("--tls", type=Path)
    parser.add_argument("--tee", action="store_true")
    parser.add_argument("--claims", action="store_true")
    parser.add_argument("--invoices", action="store_true")
    parser.add_argument("--executions", type=Path)
    parser.add_argument("--keeps-keys", action="store_true")
    Handler.options = parser.parse_args()
    Handler.book = Book(Handler.options)
    server = Server(("127.0.0.1", 0), Handler)
    if Handler.options.tls is not None:
        from attested import Attested

        Handler.machine = Attested(Handler.options.tls)
        server.context = Handler.machine.context
    half = Handler.options.port_file.with_suffix(".half")
    half.write_text(str(server.server_address[1]))
    half.replace(Handler.options.port_file)
    server.serve_forever()


if __name__ == "__main__":
    main()
