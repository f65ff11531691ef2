"""A kept look: what the plane answered, under which circumstances, and what was made of it.

A record is canonical JSON and named by its SHA-256. Policy, collateral and root are named by theirs
and kept once each. Whoever has all four judges again as the conductor did: live, with its nonce and
its connection, for its moment.
"""

import base64
import binascii
import hashlib
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

import msgspec

from cutover.attestation.bundle import Asked, Nonce, parse_bundle
from cutover.attestation.collateral import Collateral, Floor, parse_collateral
from cutover.attestation.policy import Policy
from cutover.attestation.policy_file import load_policy
from cutover.attestation.strict import MalformedError, canonical_json, hex_bytes, shown
from cutover.attestation.verdict import (
    MALFORMED_ANSWER,
    NO_ANSWER,
    NO_EVIDENCE,
    Verification,
    nothing_to_judge,
)
from cutover.attestation.verifier import verify

VERSION: Final = 1
RECORD_BYTES_MAX: Final = 4 << 20
"""Of one record: an answer of `REPLY_BYTES_MAX` grows when it is escaped, and the reasons come."""


class Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Exact bytes: as text where they are UTF-8, for readers and for scanners; else base64."""

    text: str | None = None
    base64: str | None = None


class Circumstances(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Those of the judgement (`bundle.Asked`), in plain values.

    Attributes:
        now: Unix seconds of the judgement.
        fetched: Unix seconds at which the answer had come.
        nonce: hex.
        issued: Unix seconds of the question.
        used: the nonce had been answered before.
        peer_spki: SHA-256 (hex) of the connection's key; None without TLS.
        peer_ends: Unix seconds at which that certificate ends.
        floor: evaluation numbers of TCB info and enclave identity that were not undercut.
        last_seen: the latest moment judged for before.
        out_of_date_since: since when a grace runs.
    """

    now: int
    fetched: int
    nonce: str
    issued: int
    used: bool
    peer_spki: str | None
    peer_ends: int | None
    floor: tuple[int, int]
    last_seen: int
    out_of_date_since: int | None


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One look.

    Attributes:
        v: of this form.
        plane, purpose: who was asked, and what for.
        answer: what came; None when nothing did.
        asked: under which circumstances it was judged.
        policy, collateral, root: SHA-256 (hex) of the parts it was judged by; without collateral
            there was none, without root it was Intel's.
        found: the verdict with every reason.
    """

    v: int
    plane: str
    purpose: str
    answer: Answer | None
    asked: Circumstances
    policy: str
    collateral: str | None
    root: str | None
    found: Verification

    def raw(self) -> bytes | None:
        """The answer's bytes; None when nothing came."""
        return None if self.answer is None else _bytes_of(self.answer)

    def parts(self) -> tuple[str, ...]:
        """Names of the parts that it was judged by."""
        return tuple(one for one in (self.policy, self.collateral, self.root) if one is not None)


_DECODER: Final = msgspec.json.Decoder(Record)


def sha256(raw: bytes) -> str:
    """The name of a record or part: lower-case hex."""
    return hashlib.sha256(raw).hexdigest()


def encode(record: Record) -> bytes:
    """A record's one form.

    Raises:
        MalformedError: it holds text that is no Unicode.
    """
    return canonical_json(msgspec.to_builtins(record))


def decode(raw: bytes) -> Record:
    """The record that `encode` wrote, and nothing else.

    Raises:
        MalformedError: the bytes are no record, or one in another form.
    """
    if len(raw) > RECORD_BYTES_MAX:
        raise MalformedError(f"a record of {len(raw)} bytes", f"at most {RECORD_BYTES_MAX}")
    try:
        record = _DECODER.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedError(f"no record: {shown(str(error))}", "a kept look") from error
    if record.v != VERSION:
        raise MalformedError(f"a record of version {record.v}", f"version {VERSION}")
    if record.answer is not None and record.answer != answer_of(_bytes_of(record.answer)):
        raise MalformedError("an answer in another form", "text, or base64 for what is no UTF-8")
    if encode(record) != raw:
        raise MalformedError("a record in another form", "canonical JSON")
    return record


def answer_of(raw: bytes) -> Answer:
    """The one way to keep these bytes."""
    try:
        return Answer(text=raw.decode("utf-8"))
    except UnicodeDecodeError:
        return Answer(base64=base64.b64encode(raw).decode())


def _bytes_of(answer: Answer) -> bytes:
    if answer.text is not None and answer.base64 is None:
        return answer.text.encode("utf-8")
    try:
        return base64.b64decode(answer.base64 or "=", validate=True)
    except binascii.Error as error:
        raise MalformedError("an answer that cannot be read", "text or base64") from error


@lru_cache(maxsize=16)
def policy_of(text: bytes) -> Policy:
    """The policy of a kept part; the same one serves many records.

    Raises:
        ConfigurationError, UnicodeDecodeError: it is none.
    """
    return load_policy(text.decode("utf-8"), "policy")


@lru_cache(maxsize=16)
def collateral_of(text: bytes) -> Collateral:
    """The collateral of a kept part.

    Raises:
        MalformedError: it is none.
    """
    return parse_collateral(text)


def rejudge(
    record: Record, policy: Policy, collateral: Collateral | None, root: bytes | None
) -> Verification:
    """Judge a kept look again, from its parts alone.

    Args:
        record: of the look.
        policy: that it names.
        collateral: that it names; None for none.
        root: that it names, in DER; None for Intel's.

    Raises:
        MalformedError: it does not hold together, so that nothing can be judged.
    """
    if record.plane != policy.plane:
        raise MalformedError(f"a record of {shown(record.plane)}", f"{policy.plane}, as its policy")
    asked = _asked(record.asked, root)
    raw = record.raw()
    if raw is None:
        return _nothing_came(record)
    try:
        bundle = parse_bundle(raw)
    except MalformedError as error:
        return nothing_to_judge(MALFORMED_ANSWER, str(error), asked.now)
    return verify(bundle, collateral, policy, asked)


def _nothing_came(record: Record) -> Verification:
    """Why nothing came cannot be seen again; what that amounts to can."""
    reasons = record.found.reasons
    if len(reasons) != 1 or reasons[0].code not in {NO_EVIDENCE, NO_ANSWER}:
        raise MalformedError("no answer, and reasons about one", "why no answer came")
    return nothing_to_judge(reasons[0].code, reasons[0].seen, record.asked.now)


def _asked(noted: Circumstances, root: bytes | None) -> Asked:
    """Always live: a softer judgement than the conductor's would be another one."""
    nonce = Nonce(hex_bytes(noted.nonce, "nonce", 32), noted.issued, noted.used)
    spki = noted.peer_spki
    return Asked(
        now=noted.now,
        nonce=nonce,
        peer_spki=None if spki is None else hex_bytes(spki, "peer_spki", 32),
        peer_ends=noted.peer_ends,
        floor=Floor(*noted.floor),
        last_seen=noted.last_seen,
        out_of_date_since=noted.out_of_date_since,
        root=root,
    )


def differences(kept: Verification, again: Verification) -> Iterator[str]:
    """Where the verdict as it was kept is not the one that the evidence gives."""
    for name in Verification.__struct_fields__:
        was, now = getattr(kept, name), getattr(again, name)
        if name != "reasons" and was != now:
            yield f"{name}: kept {shown(str(was))}, judged again {shown(str(now))}"
    said, say = (tuple(map(str, one.reasons)) for one in (kept, again))
    if kept.reasons != again.reasons:
        only = [f"kept {shown(one)}" for one in said if one not in say]
        only += [f"judged again {shown(one)}" for one in say if one not in said]
        yield f"reasons: {'; '.join(only) or 'in another order'}"
