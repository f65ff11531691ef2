"""Judges kept looks again, and compares with what is written down of them: record and journal."""

import hmac
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from cutover.attestation.record import (
    Record,
    collateral_of,
    decode,
    differences,
    policy_of,
    rejudge,
    sha256,
)
from cutover.attestation.strict import MalformedError, shown
from cutover.attestation.verdict import Verification, observation
from cutover.errors import ConfigurationError
from cutover.evidence.observation import Attestation, Verdict

Part = Callable[[str], bytes | None]
"""A part's bytes by its name; None for one that is not kept."""

HEALTH: Final = "health"
"""Begins the reason of an entry that trusts less than the quote, for what `/health` said."""
_WEAKER: Final = {
    Verdict.VERIFIED: (Verdict.DEGRADED, Verdict.UNVERIFIABLE),
    Verdict.DEGRADED: (Verdict.UNVERIFIABLE,),
}
_SERVES: Final = (Verdict.VERIFIED, Verdict.DEGRADED)


@dataclass(frozen=True, slots=True)
class Rejudged:
    """One look, judged again.

    Attributes:
        name: of its record.
        record: as it was kept; None if it cannot be read.
        found: the verdict that its evidence gives; None if nothing can be judged.
        troubles: why the record is not borne out; empty when it is.
    """

    name: str
    record: Record | None
    found: Verification | None
    troubles: tuple[str, ...]


class Recheck:
    """Judges the records of one run again.

    It remembers the nonces: evidence that stands for two looks is a replay of one of them.

    Args:
        root: the test root that the reader knows, in DER; a record under another one is not borne
            out. Without it a test root is believed to be the one that was used, and only marked.
    """

    def __init__(self, root: bytes | None = None) -> None:
        self._root = None if root is None else sha256(root)
        self._nonces: dict[str, str] = {}

    def inside(self, raw: bytes) -> tuple[tuple[str, ...], bytes]:
        """Names of the parts that a record was judged by, and the plane's answer.

        Raises:
            ValueError: it is no record.
        """
        record = decode(raw)
        return record.parts(), record.raw() or b""

    def against(self, raw: bytes, part: Part, entry: Attestation) -> str | None:
        """Why a record does not bear a journal entry out; None when it does.

        Args:
            raw: the record.
            part: gives its parts.
            entry: the observation that names it.
        """
        return "; ".join(self.held_against(raw, part, entry).troubles) or None

    def held_against(self, raw: bytes, part: Part, entry: Attestation) -> Rejudged:
        """Judge a record again, and compare with the journal too; arguments as for `against`."""
        again = self.again(raw, part)
        if again.record is None or again.found is None:
            return again
        beyond = tuple(_unsupported(entry, again.record, again.found))
        return replace(again, troubles=again.troubles + beyond)

    def again(self, raw: bytes, part: Part) -> Rejudged:
        """Judge a record again."""
        name = sha256(raw)
        try:
            record = decode(raw)
        except MalformedError as error:
            return Rejudged(name, None, None, (str(error),))
        try:
            found = _judge(record, part)
        except (MalformedError, ConfigurationError, UnicodeDecodeError) as error:
            return Rejudged(name, record, None, (f"it cannot be judged again: {error}",))
        troubles = (
            *differences(record.found, found),
            *self._foreign(record),
            *self._twice(record, name),
        )
        return Rejudged(name, record, found, troubles)

    def _foreign(self, record: Record) -> Iterator[str]:
        if self._root is not None and record.root != self._root:
            seen = "Intel's root" if record.root is None else f"the root {record.root}"
            yield f"judged under {seen}, expected {self._root}, the one that was given"

    def _twice(self, record: Record, name: str) -> Iterator[str]:
        first = self._nonces.setdefault(record.asked.nonce, name)
        if first != name:
            yield f"its nonce is the one of record {first}; expected one nonce for one look"


def _judge(record: Record, part: Part) -> Verification:
    policy = policy_of(_need(part, record.policy, "policy"))
    papers = record.collateral and collateral_of(_need(part, record.collateral, "collateral"))
    root = None if record.root is None else _need(part, record.root, "root")
    return rejudge(record, policy, papers or None, root)


def _need(part: Part, name: str, what: str) -> bytes:
    raw = part(name)
    if raw is None:
        raise MalformedError(f"no {what} {shown(name)}", "the one that it was judged by")
    if not hmac.compare_digest(sha256(raw), name):
        raise MalformedError(f"a {what} with SHA-256 {sha256(raw)}", name)
    return raw


def _unsupported(entry: Attestation, record: Record, found: Verification) -> Iterator[str]:
    """What the journal says beyond what the evidence gives."""
    proved = observation(record.plane, found, found.checked_at * 1000)
    weaker = entry.verdict in _WEAKER.get(found.verdict, ())
    if weaker and any(reason.startswith(HEALTH) for reason in entry.reasons):
        proved = msgspec.structs.replace(proved, verdict=entry.verdict)
    for name in ("plane", "verdict", "evidence", "identity", "marks"):
        said, gives = getattr(entry, name), getattr(proved, name)
        if said != gives:
            yield f"the journal says {name} {_told(said)}, the evidence gives {_told(gives)}"
    if entry.tls_spki not in {"", proved.tls_spki}:
        gives = proved.tls_spki or "none"
        yield f"the journal says TLS key {shown(entry.tls_spki)}, the evidence gives {gives}"
    longest = proved.lasts_ms if entry.verdict in _SERVES else None
    if longest is not None and (entry.lasts_ms is None or entry.lasts_ms > longest):
        yield f"the journal lets it last {entry.lasts_ms} ms, the evidence {longest}"


def _told(value: object) -> str:
    return shown(", ".join(map(str, value)) if isinstance(value, tuple) else str(value)) or "none"
