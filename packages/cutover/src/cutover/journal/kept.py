"""Kept evidence in an archive: written in the journal's order, and held against the journal.

`evidence.jsonl` has a record a line, exactly the bytes whose SHA-256 the journal names;
`evidence-parts.jsonl` what the records were judged by, each once, by its SHA-256. What is in a
record is known above (`cutover.attestation`); here it is bytes that a `Recheck` understands.
"""

import base64
import binascii
import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple, Protocol

import msgspec

from cutover.decision.fact import Entry
from cutover.errors import JournalError
from cutover.evidence.observation import Attestation
from cutover.journal.leak import Scanner

Part = Callable[[str], bytes | None]

LINE_BYTES_MAX: Final = 4 << 20
EVIDENCE: Final = "evidence.jsonl"
EVIDENCE_PARTS: Final = "evidence-parts.jsonl"


class Kept(Protocol):
    """Where evidence is kept; None for what is not."""

    def record(self, name: str) -> bytes | None:
        """A record by its SHA-256 in hex."""

    def part(self, name: str) -> bytes | None:
        """Something that records were judged by."""


class Recheck(Protocol):
    """Judges the records of one run again."""

    def inside(self, raw: bytes) -> tuple[tuple[str, ...], bytes]:
        """Names of the parts that a record needs, and the plane's answer; or ValueError."""

    def against(self, raw: bytes, part: Part, entry: Attestation) -> str | None:
        """Why a record does not bear a journal entry out; None when it does."""


class Evidence(NamedTuple):
    """What evidence is archived from."""

    kept: Kept
    recheck: Recheck


class Tally(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many of the journaled verdicts can be judged again.

    Attributes:
        kept: their record is in the archive.
        thinned: the journal names their record, but it was not kept.
        turns_thinned: those of them whose verdict or identity is not that of the look before; such
            evidence is to be kept, so ask where it went.
        without: no record was ever made, as for reported evidence.
    """

    kept: int
    thinned: int
    turns_thinned: int
    without: int


def looks_of(entries: Iterable[Entry]) -> Iterator[tuple[int, Attestation]]:
    """The journal's verdicts with their numbers."""
    for entry in entries:
        if isinstance(entry.fact, Attestation):
            yield entry.seq, entry.fact


class Counting:
    """Counts verdicts in the journal's order."""

    def __init__(self) -> None:
        self._before: dict[str, tuple[str, str]] = {}
        self._counts = {"kept": 0, "thinned": 0, "turns_thinned": 0, "without": 0}

    def take(self, look: Attestation, *, kept: bool) -> None:
        """Count one."""
        now = (look.verdict.value, look.identity)
        turn = self._before.get(look.plane) != now
        self._before[look.plane] = now
        if not look.record:
            self._counts["without"] += 1
        elif kept:
            self._counts["kept"] += 1
        else:
            self._counts["thinned"] += 1
            self._counts["turns_thinned"] += turn

    def tally(self) -> Tally:
        """What was counted."""
        return Tally(**self._counts)


class KeptWriter:
    """Makes both parts of an archive, records first.

    Args:
        evidence: what is kept; None if no verdict has any.
        scanner: looks into the answers, and into parts that stand in base64.
    """

    def __init__(self, evidence: Evidence | None, scanner: Scanner) -> None:
        self._evidence = evidence
        self._scanner = scanner
        self._needed: set[str] = set()
        self._counting = Counting()

    def records(self, entries: Iterable[Entry]) -> Iterator[bytes]:
        """The lines of `evidence.jsonl`.

        Raises:
            JournalError: a record on disk is not one; a secret is in a plane's answer.
            KeepError: it is damaged.
        """
        for seq, look in looks_of(entries):
            evidence = self._evidence if look.record else None
            raw = evidence.kept.record(look.record) if evidence else None
            self._counting.take(look, kept=raw is not None)
            if evidence is None or raw is None:
                continue
            try:
                needed, answer = evidence.recheck.inside(raw)
            except ValueError as error:
                raise JournalError(
                    f"the evidence of entry {seq}, record {look.record}: {error}; keep a copy, and "
                    "move it out of the folder to archive without it"
                ) from error
            self._needed.update(needed)
            self._scan(f"{EVIDENCE}, the answer of entry {seq},", answer)
            yield raw + b"\n"

    def parts(self) -> Iterator[bytes]:
        """The lines of `evidence-parts.jsonl`, once the records are written.

        Raises:
            JournalError: one is not kept; a secret is in it.
            KeepError: it is damaged.
        """
        for name in sorted(self._needed):
            raw = self._evidence.kept.part(name) if self._evidence else None
            if raw is None:
                raise JournalError(
                    f"the evidence was judged by a part {name} that is not kept; expected it in "
                    "the folder of the evidence. Bring it back from a copy"
                )
            self._scan(f"{EVIDENCE_PARTS}, {name},", raw)
            yield part_line(raw)

    def tally(self) -> Tally:
        """Counts, once the records are written."""
        return self._counting.tally()

    def _scan(self, part: str, raw: bytes) -> None:
        for _ in self._scanner.watch(part, [raw]):
            pass  # it raises if there is anything to find


class _PartLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    sha256: str
    text: str | None = None
    base64: str | None = None


_PART: Final = msgspec.json.Decoder(_PartLine)


def part_line(raw: bytes) -> bytes:
    """A part as a line: as text where it is UTF-8, else in base64."""
    digest = hashlib.sha256(raw).hexdigest()
    try:
        line = _PartLine(digest, text=raw.decode("utf-8"))
    except UnicodeDecodeError:
        line = _PartLine(digest, base64=base64.b64encode(raw).decode())
    return msgspec.json.encode(line) + b"\n"


def read_part_line(line: bytes) -> tuple[str, bytes]:
    """Name and bytes of a part.

    Raises:
        ValueError: it is not the line that `part_line` makes of these bytes.
    """
    try:
        said = _PART.decode(line)
        raw = base64.b64decode(said.base64 or "") if said.text is None else said.text.encode()
    except (msgspec.DecodeError, binascii.Error, TypeError) as error:
        raise ValueError(f"a line that cannot be read: {error}") from error
    if part_line(raw) != line:
        raise ValueError(f"SHA-256 {said.sha256[:80]} stands beside other bytes, or another form")
    return said.sha256, raw
