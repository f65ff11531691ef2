"""What a live intent's answer proves: structural marks of the real thing, and of a mock.

The word "mock" is not enough (mock answers to create and pay contain no such word), so markers
are structural (controller-contract §6, §10). Whether a named transaction exists on its chain is
asked elsewhere; here it is judged whether the text could be true at all.
"""

import re
from typing import Final

from cutover.evidence.observation import LiveIntent
from cutover.evidence.planes import WORD_CHARS_MAX, Answer
from cutover.runbook.intent import Intent

_CONTRIBUTOR: Final = re.compile(
    r"^\W*([A-Za-z0-9][A-Za-z0-9-]*(?:\[bot\])?): (\d+) commits? \(", re.MULTILINE
)
_PROOF: Final = re.compile(r"Proof: https://\S+/verify/(?:0x)?([0-9a-fA-F]+)")
_SPLIT: Final = re.compile(r"Split ID: (\S+)")
_REAL_SPLIT: Final = re.compile(r"split-(\d+)-(\d+)")
_TRANSACTION: Final = re.compile(r"Transaction: ?(\S*)")
_DONE: Final = re.compile(r"Split (created|updated|repaired|already exists)|already exists")
_UNSURE: Final = re.compile(
    r"unknown|pending|time[d]?[ -]?out|Transaction:|needs a person", re.IGNORECASE
)
_MOCK_PEOPLE: Final = [("alice", "40"), ("bob", "30"), ("charlie", "20"), ("dave", "10")]
_BASE58: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
SIGNATURE_HEX: Final = 130
"""Digits of a 65-byte signature."""


def read_live(plane: str, intent: Intent, answer: Answer) -> LiveIntent:
    """Judge the answer to an executed intent; anything not recognised as real is not ok."""
    text = answer.field("response")
    if answer.status != 200 or not isinstance(text, str):
        return LiveIntent(plane, intent, False, (f"no answer: {answer.summary()}",), {})
    match intent:
        case Intent.ANALYZE:
            problems, evidence = _analyze(text)
        case Intent.CREATE:
            problems, evidence = _create(text)
        case Intent.PAY:
            problems, evidence = _pay(text)
        case _:
            problems, evidence = [f"{intent} has no live judgement"], {}
    if "This is a mock EigenAI response" in text:
        problems.append("a mock EigenAI response")
    if problems:
        first = text.strip().splitlines()[0][:120] if text.strip() else "an empty text"
        said = (*problems, f"the answer begins {first!r}")
        definite = intent is not Intent.PAY or _not_paid(text)
        return LiveIntent(plane, intent, False, said, evidence, definite=definite)
    said = tuple(f"{k} {v}" for k, v in evidence.items())
    return LiveIntent(plane, intent, True, said, evidence, definite=True)


def _not_paid(text: str) -> bool:
    """Whether the plane says for certain that no payment was made; all else is unknown."""
    return text.lstrip().startswith(("❌", "🛑")) and not _UNSURE.search(text)


def _analyze(text: str) -> tuple[list[str], dict[str, str]]:
    problems: list[str] = []
    people = _CONTRIBUTOR.findall(text)
    if not people or "contributors:" not in text.lower():
        problems.append("no contributor section")
    if people == _MOCK_PEOPLE:
        problems.append("the mock contributors")
    proof = _PROOF.search(text)
    signature = proof.group(1) if proof else ""
    if len(signature) != SIGNATURE_HEX or not signature.strip("0"):
        problems.append(f"no proof link with a 65-byte signature, seen {signature[:20]!r}")
    return problems, {"contributors": str(len(people)), "proof": signature[:16]}


def _create(text: str) -> tuple[list[str], dict[str, str]]:
    problems: list[str] = []
    if not _DONE.search(text) or text.lstrip().startswith(("❌", "🛑")):
        problems.append("neither created, updated nor already there")
    found = _SPLIT.search(text)
    split = found.group(1) if found else ""
    named = found is not None or "already exists" not in text  # an old answer may omit the id then
    if named and not _REAL_SPLIT.fullmatch(split):
        problems.append(f"split id {split[:WORD_CHARS_MAX]!r}, expected split-<height>-<n>")
    return problems, {"split": split[:WORD_CHARS_MAX]}


def _pay(text: str) -> tuple[list[str], dict[str, str]]:
    problems: list[str] = []
    if text.lstrip().startswith(("❌", "🛑")):
        problems.append("the payment was not made")
    found = _TRANSACTION.search(text)
    reference = found.group(1) if found else ""
    if not is_near_hash(reference):
        problems.append(f"transaction {reference[:WORD_CHARS_MAX]!r}, expected base58 of 32 bytes")
    return problems, {"transaction": reference[:WORD_CHARS_MAX]}


def is_near_hash(reference: str) -> bool:
    """Whether a text is base58 of exactly 32 bytes, as a NEAR transaction hash is."""
    if not 32 <= len(reference) <= 44 or any(c not in _BASE58 for c in reference):
        return False
    number = 0
    for char in reference:
        number = number * 58 + _BASE58.index(char)
    zeros = len(reference) - len(reference.lstrip("1"))
    return zeros + (number.bit_length() + 7) // 8 == 32
