"""The sealed export of a run: one file that a stranger can verify without us.

Made from a verified journal, live or finished. The journal is the record; every other part is
computed from it, and is computed again when the archive is verified.
"""

import os
import tempfile
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from cutover.errors import JournalError
from cutover.journal.audit import audit, verify
from cutover.journal.chain import Fault, Point
from cutover.journal.container import (
    JOURNAL,
    MANIFEST,
    Part,
    make_durable,
    write_journal,
    write_part,
)
from cutover.journal.derived import Derived, derive, pretty
from cutover.journal.kept import EVIDENCE, EVIDENCE_PARTS, Evidence, KeptWriter, Tally
from cutover.journal.leak import Scanner
from cutover.journal.lines import write_lines
from cutover.journal.manifest import (
    PLAIN_FORMAT,
    Manifest,
    format_of,
    readme,
    write_manifest,
)
from cutover.journal.reader import Reader
from cutover.journal.redecide import Redecide
from cutover.journal.schema import explained
from cutover.journal.store import Journal

__all__ = ["audit", "create", "verify"]

NO_SECRETS: Final[Mapping[str, str]] = {}


class _Sources(NamedTuple):
    """What the parts are made from."""

    reader: Reader
    derived: Derived
    divergence: str | None
    versions: Mapping[str, str]
    evidence: Evidence | None


def create(
    journal_path: Path,
    output: Path,
    *,
    versions: Mapping[str, str],
    replay: Redecide,
    secrets: Mapping[str, str] = NO_SECRETS,
    evidence: Evidence | None = None,
) -> Manifest:
    """Write the archive of a journal, whole or not at all; an existing file is replaced.

    Args:
        journal_path: a journal.db, live or copied.
        output: the file to write, for its owner's eyes only.
        versions: of what makes the archive; those of the run are in its journal.
        replay: decides again; a divergence is recorded in the manifest, not hidden.
        secrets: name to value; the archive is refused if any of them is in it.
        evidence: where that of the verdicts is kept; needed if the journal names any.

    Raises:
        JournalError: the journal is not sound, or no journal of a run; a secret is in it; evidence
            is named and none was handed over, or is not what its name says; or the file cannot be
            written.
    """
    scanner = Scanner(secrets)
    with Journal.open_read_only(journal_path) as reader:
        if isinstance(found := reader.verify_from(1), Fault):
            raise JournalError(
                f"{journal_path}: {found}; only a sound journal is archived. Keep the file as it "
                "is for those who will ask"
            )
        derived = derive(reader.entries())
        if derived.adopted.run != reader.run_id:
            raise JournalError(
                f"{journal_path} is of run {reader.run_id}, its first entry of "
                f"{derived.adopted.run}; expected one run"
            )
        if derived.evidence and evidence is None:
            raise JournalError(
                f"{journal_path} names kept evidence, and no folder of it was given; give the "
                "folder `evidence` that stood beside the journal"
            )
        sources = _Sources(reader, derived, replay(reader.entries()), versions, evidence)
        with explained(output, "writing"):
            return _write(output, sources, scanner)


def _write(output: Path, sources: _Sources, scanner: Scanner) -> Manifest:
    descriptor, name = tempfile.mkstemp(prefix=f".{output.name}.", dir=output.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            manifest = _write_parts(stream, sources, scanner)
            make_durable(stream, temporary, output)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return manifest


def _write_parts(stream: BinaryIO, sources: _Sources, scanner: Scanner) -> Manifest:
    reader, derived = sources.reader, sources.derived
    head = Point(*reader.head)
    contents: dict[str, Iterable[bytes]] = {
        "README.txt": [readme(derived, head.seq, head.hash.hex())],
        "runbook.toml": [derived.parts["runbook.toml"]],
        "versions.json": [
            pretty({"run": derived.adopted.versions, "archive": dict(sources.versions)})
        ],
        "incidents.json": [derived.parts["incidents.json"]],
        "postchecks.json": [derived.parts["postchecks.json"]],
        "canary.jsonl": [derived.parts["canary.jsonl"]],
    }
    journal = write_lines(reader.rows(), reader.run_id, head)
    try:
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, allowZip64=False) as archive:
            parts = [
                write_part(archive, name, scanner.watch(name, chunks))
                for name, chunks in contents.items()
            ]
            parts += write_journal(archive, scanner.watch(JOURNAL, journal))
            kept, tally = _write_kept(archive, sources, scanner)
            manifest = _manifest(sources, head, tuple(parts + kept), tally)
            write_part(archive, MANIFEST, scanner.watch(MANIFEST, [write_manifest(manifest)]))
    except zipfile.LargeZipFile as error:
        raise JournalError(f"the archive is too large ({error}); keep the journal.db") from error
    return manifest


def _write_kept(
    archive: zipfile.ZipFile, sources: _Sources, scanner: Scanner
) -> tuple[list[Part], Tally | None]:
    """Both parts of the evidence; neither where nothing was kept and nothing is marked."""
    if format_of(sources.derived) == PLAIN_FORMAT:
        return [], None
    writer = KeptWriter(sources.evidence, scanner)
    contents = {
        EVIDENCE: writer.records(sources.reader.entries()),
        EVIDENCE_PARTS: writer.parts(),
    }
    parts = [
        write_part(archive, name, scanner.watch(name, lines)) for name, lines in contents.items()
    ]
    return parts, writer.tally()


def _manifest(
    sources: _Sources, head: Point, parts: tuple[Part, ...], tally: Tally | None
) -> Manifest:
    return Manifest(
        format=format_of(sources.derived),
        run=sources.reader.run_id,
        state=sources.derived.state,
        entries=head.seq,
        head=head.hash.hex(),
        first_wall_ms=sources.derived.first.wall_ms,
        last_wall_ms=sources.derived.last.wall_ms,
        divergence=sources.divergence,
        parts=parts,
        marks=sources.derived.marks,
        evidence=tally,
    )
