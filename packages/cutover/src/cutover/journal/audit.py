"""Verifying an archive offline: its layout, its parts, its chain, its decisions."""

import hashlib
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from cutover.decision.fact import Entry
from cutover.errors import JournalError
from cutover.journal.container import (
    JOURNAL,
    MANIFEST,
    inspect,
    journal_parts,
    parts_in_order,
    unpack,
)
from cutover.journal.derived import Derived, derive, pretty
from cutover.journal.finding import Finding, Flaw, differ
from cutover.journal.kept import EVIDENCE, EVIDENCE_PARTS, Recheck, Tally
from cutover.journal.kept_audit import audit_kept
from cutover.journal.lines import read_lines, read_tail
from cutover.journal.log import Report, verify_log
from cutover.journal.manifest import (
    ARCHIVE_FORMAT,
    FORMATS,
    PLAIN_FORMAT,
    Manifest,
    format_of,
    readme,
    write_manifest,
)
from cutover.journal.reader import to_entry
from cutover.journal.redecide import Redecide

README: Final = "README.txt"


class Audited(NamedTuple):
    """What became of an inspection.

    Attributes:
        findings: everything that is wrong; empty for a sound archive.
        evidence: how many verdicts were judged again; None without kept evidence, or if it could
            not be looked at.
        marks: what stands beside any of its verdicts.
    """

    findings: list[Finding]
    evidence: Tally | None
    marks: tuple[str, ...]


def verify(
    path: Path,
    *,
    redecide: Redecide,
    expect_head: str | None = None,
    recheck: Recheck | None = None,
) -> list[Finding]:
    """Everything that is wrong with an archive; see `audit`."""
    return audit(path, redecide=redecide, expect_head=expect_head, recheck=recheck).findings


def audit(
    path: Path,
    *,
    redecide: Redecide | None,
    expect_head: str | None = None,
    recheck: Recheck | None = None,
) -> Audited:
    """Inspect an archive.

    Args:
        path: of the archive.
        redecide: decides again from the entries; None to leave the decisions out.
        recheck: judges kept evidence again; without one, an archive that has any is not sound.
        expect_head: `NUMBER:HASH` or `HASH` noted while the run went on. Without one, an archive
            that was written anew as a whole cannot be told from the true one.

    Raises:
        JournalError: there is no such file.
        ConfigurationError: `expect_head` is not a head.
    """
    if not path.is_file():
        raise JournalError(f"{path} is no file; give the file that `cutover archive create` wrote")
    with path.open("rb") as stream:
        archive, findings = inspect(stream, path.stat().st_size)
        if archive is None:
            return Audited(findings, None, ())
        with archive, tempfile.TemporaryDirectory() as folder:
            return _Audit(archive, Path(folder), findings).run(redecide, expect_head, recheck)


class _Audit:
    """One archive under inspection; what goes wrong is gathered in `findings`."""

    def __init__(self, archive: zipfile.ZipFile, folder: Path, findings: list[Finding]) -> None:
        self._archive = archive
        self._folder = folder
        self.findings = findings
        barred = {Flaw.OVERSIZED, Flaw.DUPLICATE, Flaw.MISSING, Flaw.UNREADABLE}
        closed = {finding.part for finding in findings if finding.flaw in barred}
        self._names = parts_in_order(archive.namelist())
        self._open = [name for name in self._names if name not in closed]
        self._sums: dict[str, tuple[str, int]] = {}
        self._tally: Tally | None = None
        self._marks: tuple[str, ...] = ()

    def run(
        self, redecide: Redecide | None, expect_head: str | None, recheck: Recheck | None
    ) -> Audited:
        """Look at everything that can be looked at."""
        held = {name: path for name in self._open if (path := self._unpack(name))}
        manifest = self._read_manifest(held.pop(MANIFEST, None))
        if manifest is not None:
            self._compare_sums(manifest)
        if not held.keys() >= set(journal_parts(self._names)):
            held.pop(JOURNAL, None)  # half a journal says nothing
        report = self._verify_journal(held, expect_head)
        if report is not None and report.ok:
            self._compare_derived(held, manifest, report)
            if redecide is not None:
                self._decide_again(held, manifest, redecide)
            self._judge_again(held, manifest, recheck)
        return Audited(self.findings, self._tally, self._marks)

    def _add(self, part: str, flaw: Flaw, text: str) -> None:
        self.findings.append(Finding(part, flaw, text))

    def _unpack(self, name: str) -> Path | None:
        """A part's file; the journal's further parts go behind its first."""
        further = name != JOURNAL and name in journal_parts(self._names)
        target = self._folder / (JOURNAL if further else name)
        digest, size = hashlib.sha256(), 0
        try:
            with target.open("ab" if further else "wb") as stream:
                for chunk in unpack(self._archive, name):
                    stream.write(chunk)
                    digest.update(chunk)
                    size += len(chunk)
        except JournalError as error:
            self._add(name, Flaw.CHANGED, str(error))
            return None
        self._sums[name] = (digest.hexdigest(), size)
        return target

    def _read_manifest(self, path: Path | None) -> Manifest | None:
        if path is None:
            return None
        data = path.read_bytes()
        try:
            manifest = msgspec.json.decode(data, type=Manifest)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            self._add(MANIFEST, Flaw.UNREADABLE, f"{error}; expected format {ARCHIVE_FORMAT}")
            return None
        if manifest.format not in FORMATS:
            text = f"format {manifest.format}, this version reads 1 to {ARCHIVE_FORMAT}"
            self._add(MANIFEST, Flaw.UNKNOWN, f"{text}; use the version that made it, or newer")
            return None
        if write_manifest(manifest) != data:
            self._add(MANIFEST, Flaw.CHANGED, "written in another form")
        return manifest

    def _compare_sums(self, manifest: Manifest) -> None:
        wanted = [name for name in self._names if name != MANIFEST]
        listed = [part.name for part in manifest.parts]
        for name in journal_parts(listed):
            if name not in wanted:
                self._add(name, Flaw.MISSING, "not in the archive, but in its manifest")
        if listed != wanted:
            self._add(MANIFEST, Flaw.CHANGED, f"its list of parts; expected {', '.join(wanted)}")
        for part in manifest.parts:
            if part.name not in self._sums:
                continue
            digest, size = self._sums[part.name]
            if size < part.size:
                text = f"{size} bytes, the manifest says {part.size}"
                self._add(part.name, Flaw.TRUNCATED, text)
            elif (digest, size) != (part.sha256, part.size):
                text = f"SHA-256 {digest} of {size} bytes, the manifest says {part.sha256} of"
                self._add(part.name, Flaw.CHANGED, f"{text} {part.size}")

    def _verify_journal(self, held: dict[str, Path], expect_head: str | None) -> Report | None:
        if JOURNAL not in held:
            return None
        try:
            report = verify_log(held[JOURNAL], expect_head)
        except JournalError as error:
            self._add(JOURNAL, Flaw.UNREADABLE, str(error))
            return None
        if report.fault is not None:
            self._add(JOURNAL, Flaw(report.fault.what.value), str(report.fault))
        elif report.unknown:
            self._add(JOURNAL, Flaw.UNKNOWN, "; ".join(report.examples))
        return report

    def _compare_derived(
        self, held: dict[str, Path], manifest: Manifest | None, report: Report
    ) -> None:
        try:
            derived = derive(entries_of(held[JOURNAL]))
        except JournalError as error:
            self._add(JOURNAL, Flaw.CHANGED, str(error))
            return
        entries, _, head = report.head.partition(":")
        page = readme(derived, int(entries), head)
        self._marks = derived.marks
        self._compare_format(manifest, derived)
        for name, wanted in {**derived.parts, README: page}.items():
            if name in held and (wrong := differ(name, held[name].read_bytes(), wanted)):
                self.findings.append(wrong)
        if hashlib.sha256(derived.parts["runbook.toml"]).hexdigest() != derived.adopted.sha256:
            text = f"its SHA-256 is not {derived.adopted.sha256}, as entry 1 says"
            self._add("runbook.toml", Flaw.CHANGED, text)
        if "versions.json" in held:
            self._compare_versions(held["versions.json"].read_bytes(), derived.adopted.versions)
        if manifest is None:
            return
        told = (manifest.run, manifest.state, f"{manifest.entries}:{manifest.head}")
        holds = (derived.adopted.run, derived.state, report.head)
        stamps = (derived.first.wall_ms, derived.last.wall_ms)
        if told != holds or (manifest.first_wall_ms, manifest.last_wall_ms) != stamps:
            self._add(MANIFEST, Flaw.CHANGED, f"it says {told}, the journal {holds}")

    def _compare_format(self, manifest: Manifest | None, derived: Derived) -> None:
        """Evidence that the journal names has its parts; where it names none, there are none."""
        wanted = format_of(derived)
        if wanted != PLAIN_FORMAT and EVIDENCE not in self._names:
            self._add(EVIDENCE, Flaw.MISSING, "not in the archive, but the journal names evidence")
        if manifest is None:
            return
        told, holds = (manifest.format, manifest.marks), (wanted, derived.marks)
        if told != holds:
            self._add(MANIFEST, Flaw.CHANGED, f"format and marks {told}, by the journal {holds}")

    def _judge_again(
        self, held: dict[str, Path], manifest: Manifest | None, recheck: Recheck | None
    ) -> None:
        if not held.keys() >= {EVIDENCE, EVIDENCE_PARTS}:
            return  # named already if it should be there
        if recheck is None:
            self._add(EVIDENCE, Flaw.UNKNOWN, "not judged again: nobody was there to judge it")
            return
        findings, self._tally = audit_kept(
            lambda: entries_of(held[JOURNAL]), held[EVIDENCE], held[EVIDENCE_PARTS], recheck
        )
        self.findings += findings
        if manifest is not None and manifest.evidence != self._tally:
            text = f"it counts {manifest.evidence}, the archive has {self._tally}"
            self._add(MANIFEST, Flaw.CHANGED, text)

    def _compare_versions(self, seen: bytes, run: dict[str, str]) -> None:
        try:
            said = msgspec.json.decode(seen, type=dict[str, dict[str, str]])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            self._add("versions.json", Flaw.UNREADABLE, str(error))
            return
        if wrong := differ("versions.json", seen, pretty({**said, "run": run})):
            self.findings.append(wrong)

    def _decide_again(
        self, held: dict[str, Path], manifest: Manifest | None, redecide: Redecide
    ) -> None:
        divergence = redecide(entries_of(held[JOURNAL]))
        if divergence is not None:
            self._add(JOURNAL, Flaw.DIVERGES, divergence)
        if manifest is not None and manifest.divergence != divergence:
            text = f"it says {manifest.divergence!r} of the decisions; now {divergence!r}"
            self._add(MANIFEST, Flaw.CHANGED, text)


def entries_of(path: Path) -> Iterator[Entry]:
    """Entries of a journal.jsonl, in order; verify it first.

    Raises:
        JournalError: a line cannot be read.
    """
    end = read_tail(path).begins
    with path.open("rb") as stream:
        yield from map(to_entry, read_lines(stream, end))
