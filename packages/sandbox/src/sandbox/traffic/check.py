"""Is this answer right? Pure: bytes in, verdict out, nothing believed for its status code.

`ok` needs the literals of contract §6 *and* structure: an id that a chain can have made, a hash
that decodes to 32 bytes, a reference that no other payment got. `refused` is a clear no (503 with
an error of the API's shape and a code). Everything else is `failed`.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import base58

Intent = Literal["analyze", "create", "pay"]
Route = Literal["process", "agent"]
Result = Literal["ok", "refused", "failed"]

ANSWER_BYTES_MAX: Final = 1 << 20
_PROOF: Final = re.compile(r"^🔗 Proof: https?://\S+/verify/([0-9a-fA-F]{130})$", re.MULTILINE)
_COUNT: Final = re.compile(r"^Contributors: (\d+)$", re.MULTILINE)
_PERSON: Final = re.compile(r"^\S+ (\S+): \d+ commits \([\d.]+%\)$", re.MULTILINE)
_SPLIT_DONE: Final = re.compile(r"Split (?:created|updated|already exists)")
_SPLIT_ID: Final = re.compile(r"^📜 Split(?: ID)?: (\S+)$", re.MULTILINE)
_REAL_SPLIT: Final = re.compile(r"split-\d{1,12}-\d+")
_TRANSACTION: Final = re.compile(r"^🔗 Transaction: (\S+)$", re.MULTILINE)
_MOCK: Final = ("This is a mock EigenAI response", "0xmocksignature", "split-mock-", "mock.near")
_CODE: Final = re.compile(r"[a-z][a-z0-9_]{2,60}")


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked: the intent, about which repository, by which route."""

    intent: Intent
    repository: str
    route: Route


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judgement of one answer; `reason` is empty only for `ok`."""

    result: Result
    reason: str = ""
    plane: str | None = None


@dataclass(slots=True)
class Ledger:
    """References seen so far: the same transaction under two payments is a wrong answer."""

    transactions: set[str] = field(default_factory=set)

    def is_new(self, reference: str) -> bool:
        """Remember a reference and say whether it is the first time."""
        if reference in self.transactions:
            return False
        self.transactions.add(reference)
        return True


def judge(
    asked: Asked,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    ledger: Ledger,
    known_planes: frozenset[str] = frozenset(),
) -> Verdict:
    """Judge one answer; `headers` with lower-case names, `known_planes` empty to accept any."""
    if len(body) > ANSWER_BYTES_MAX:
        return Verdict("failed", f"{len(body)} bytes; at most {ANSWER_BYTES_MAX} are expected")
    try:
        value = json.loads(body)
    except ValueError:
        return Verdict("failed", f"HTTP {status} without JSON: {body[:120]!r}")
    if not isinstance(value, dict):
        return Verdict("failed", f"HTTP {status}: JSON, but not an object")
    plane = _plane(value, headers)
    if status != 200:
        return _judge_error(status, value, plane)
    fault = _shape_fault(asked, value) or _plane_fault(asked, value, known_planes)
    text = value.get("response")
    if fault is None and isinstance(text, str):
        fault = _text_fault(asked, text, ledger)
    return Verdict("failed", fault, plane) if fault else Verdict("ok", "", plane)


def _judge_error(status: int, value: Mapping[str, Any], plane: str | None) -> Verdict:
    code = refusal_code(value)
    if status == 503 and code is not None:
        return Verdict("refused", code, plane)
    return Verdict("failed", f"HTTP {status}: {json.dumps(value)[:160]}", plane)


def refusal_code(value: Mapping[str, Any]) -> str | None:
    """Return the code of an error in the API's shape, or None for any other object.

    Two spellings: `{"error": "text", "code": "payments_paused"}` and
    `{"error": {"code": ..., "message": ...}}`.
    """
    error = value.get("error")
    if isinstance(error, dict):
        code, message = error.get("code"), error.get("message")
    else:
        code, message = value.get("code"), error
    if not isinstance(code, str) or not isinstance(message, str) or not message:
        return None
    return code if _CODE.fullmatch(code) else None


def _plane(value: Mapping[str, Any], headers: Mapping[str, str]) -> str | None:
    execution = value.get("execution")
    named = execution.get("plane") if isinstance(execution, dict) else None
    named = named or headers.get("x-cutover-plane") or headers.get("x-plane")
    return named if isinstance(named, str) and named else None


def _shape_fault(asked: Asked, value: Mapping[str, Any]) -> str | None:
    text = value.get("response")
    if not isinstance(text, str) or not text:
        return "no `response` text"
    if "error" in value:
        return "an `error` beside the `response`"
    if asked.route == "agent" and value.get("success") is not True:
        return f"success is {value.get('success')!r}; true is expected"
    return None


def _plane_fault(asked: Asked, value: Mapping[str, Any], known: frozenset[str]) -> str | None:
    if asked.route != "agent":
        return None
    execution = value.get("execution")
    plane = execution.get("plane") if isinstance(execution, dict) else None
    if not isinstance(plane, str) or not plane:
        return "no execution.plane"
    if known and plane not in known:
        return f"execution.plane is {plane!r}; one of {sorted(known)} is expected"
    return None


def _text_fault(asked: Asked, text: str, ledger: Ledger) -> str | None:
    marker = next((mark for mark in _MOCK if mark in text), None)
    if marker is not None:
        return f"mock marker {marker!r}"
    if text.startswith(("❌", "🛑")):
        return f"business failure: {text[:120]!r}"
    match asked.intent:
        case "analyze":
            return _analyze_fault(asked, text)
        case "create":
            return _create_fault(asked, text)
        case "pay":
            return _pay_fault(text, ledger)


def _about(asked: Asked, text: str) -> bool:
    return f"github.com/{asked.repository}".lower() in text.lower()


def _analyze_fault(asked: Asked, text: str) -> str | None:
    if "📊 Analysis for" not in text or not _about(asked, text):
        return f"not an analysis of {asked.repository}: {text[:120]!r}"
    count = _COUNT.search(text)
    if count is None or int(count[1]) < 1:
        return "no `Contributors: n` with at least one"
    people = {name.lower() for name in _PERSON.findall(text)}
    if not people:
        return "no contributor line"
    if people == {"alice", "bob", "charlie", "dave"}:
        return "exactly the mock contributors"
    proof = _PROOF.search(text)
    if proof is None:
        return "no `🔗 Proof:` link with a 65-byte signature"
    return "the proof's signature is zero" if set(proof[1]) == {"0"} else None


def _create_fault(asked: Asked, text: str) -> str | None:
    if _SPLIT_DONE.search(text) is None or not _about(asked, text):
        return f"no split of {asked.repository}: {text[:120]!r}"
    split = _SPLIT_ID.search(text)
    if split is None:
        return "no `📜 Split ID:` line"
    if _REAL_SPLIT.fullmatch(split[1]) is None:
        return f"split id {split[1]!r}; split-<height>-<n> is expected"
    return None


def _pay_fault(text: str, ledger: Ledger) -> str | None:
    found = _TRANSACTION.findall(text)
    if not found:
        return "no `🔗 Transaction:` line; one for each transaction is expected"
    for reference in found:
        if not is_near_hash(reference):
            return f"transaction {reference!r}; base58 of 32 bytes is expected"
        if not ledger.is_new(reference):
            return f"transaction {reference} was named before, here or by an earlier payment"
    return None


def is_near_hash(reference: str) -> bool:
    """Say whether a reference is base58 of 32 bytes that are not all alike."""
    if not 32 <= len(reference) <= 44:
        return False
    try:
        raw = base58.b58decode(reference)
    except ValueError:
        return False
    return len(raw) == 32 and len(set(raw)) > 1
