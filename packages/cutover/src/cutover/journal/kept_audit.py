"""Verifying the kept evidence of an archive: its bytes, its place in the journal, its verdicts."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from cutover.decision.fact import Entry
from cutover.evidence.observation import Attestation
from cutover.journal.container import JOURNAL
from cutover.journal.finding import Finding, Flaw
from cutover.journal.kept import (
    EVIDENCE,
    EVIDENCE_PARTS,
    LINE_BYTES_MAX,
    Counting,
    Recheck,
    Tally,
    looks_of,
    read_part_line,
)

Entries = Callable[[], Iterable[Entry]]


class _Claim(NamedTuple):
    """What a journal entry says of a record."""

    seq: int
    look: Attestation


def audit_kept(
    entries: Entries, records: Path, parts: Path, recheck: Recheck
) -> tuple[list[Finding], Tally]:
    """Everything that is wrong with kept evidence, and the counts.

    Args:
        entries: the verified journal's, from its beginning at each call.
        records: the unpacked `evidence.jsonl`.
        parts: the unpacked `evidence-parts.jsonl`.
        recheck: judges again.
    """
    return _KeptAudit(recheck).run(entries, records, parts)


class _KeptAudit:
    """One archive's evidence; what goes wrong is gathered in `findings`."""

    def __init__(self, recheck: Recheck) -> None:
        self._recheck = recheck
        self._findings: list[Finding] = []
        self._claims: dict[str, _Claim] = {}
        self._parts: dict[str, bytes] = {}
        self._needed: set[str] = set()

    def run(self, entries: Entries, records: Path, parts: Path) -> tuple[list[Finding], Tally]:
        """Look at everything."""
        self._read_claims(entries())
        self._read_parts(parts)
        held = self._read_records(records)
        for name in self._parts.keys() - self._needed:
            self._add(EVIDENCE_PARTS, Flaw.EXTRA, f"part {name} belongs to no record")
        counting = Counting()
        for _, look in looks_of(entries()):
            counting.take(look, kept=look.record in held)
        return self._findings, counting.tally()

    def _add(self, part: str, flaw: Flaw, text: str) -> None:
        self._findings.append(Finding(part, flaw, text))

    def _read_claims(self, entries: Iterable[Entry]) -> None:
        for seq, look in looks_of(entries):
            first = self._claims.get(look.record)
            if first is not None:
                text = f"entry {seq} names the evidence of entry {first.seq}: one look, told twice"
                self._add(JOURNAL, Flaw.DUPLICATE, text)
            elif look.record:
                self._claims[look.record] = _Claim(seq, look)

    def _read_parts(self, path: Path) -> None:
        before = ""
        for number, line in _lines(path):
            try:
                name, raw = read_part_line(line)
            except ValueError as error:
                self._add(EVIDENCE_PARTS, Flaw.CHANGED, f"line {number}: {error}")
                continue
            if name <= before:
                flaw = Flaw.DUPLICATE if name in self._parts else Flaw.REORDERED
                self._add(EVIDENCE_PARTS, flaw, f"line {number}: part {name} behind {before}")
            self._parts[name], before = raw, name

    def _read_records(self, path: Path) -> set[str]:
        """Judge each record again; names of those that an entry names."""
        held: set[str] = set()
        last = 0
        for number, line in _lines(path):
            raw = line.removesuffix(b"\n")
            name = hashlib.sha256(raw).hexdigest()
            claim = self._claims.get(name)
            place = f"line {number}, record {name}"
            if claim is None or raw == line:
                text = f"{place}: no entry names it; it was changed, or is of another run"
                self._add(EVIDENCE, Flaw.EXTRA, text)
                continue
            if claim.seq <= last:
                flaw = Flaw.DUPLICATE if name in held else Flaw.REORDERED
                self._add(EVIDENCE, flaw, f"{place} of entry {claim.seq}: behind entry {last}")
            last = max(last, claim.seq)
            held.add(name)
            self._judge(f"{place} of entry {claim.seq}", raw, claim.look)
        return held

    def _judge(self, place: str, raw: bytes, look: Attestation) -> None:
        try:
            self._needed.update(self._recheck.inside(raw)[0])
        except ValueError as error:
            self._add(EVIDENCE, Flaw.UNREADABLE, f"{place}: {error}")
            return
        if wrong := self._recheck.against(raw, self._parts.get, look):
            self._add(EVIDENCE, Flaw.DIVERGES, f"{place}: {wrong}")


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Lines with their numbers; one that is too long comes in pieces, none of which is a line."""
    with path.open("rb") as stream:
        number = 0
        while line := stream.readline(LINE_BYTES_MAX + 1):
            number += 1
            yield number, line
