"""The archive's table of contents, and the page that explains it to a stranger."""

from typing import Final

import msgspec

from cutover.journal.container import MANIFEST, Part
from cutover.journal.derived import Derived, State, pretty
from cutover.journal.kept import EVIDENCE, EVIDENCE_PARTS, Tally

PLAIN_FORMAT: Final = 1
ARCHIVE_FORMAT: Final = 2
"""With kept evidence or marks; without either an archive is in the plain format, as ever."""
FORMATS: Final = (PLAIN_FORMAT, ARCHIVE_FORMAT)


def format_of(derived: Derived) -> int:
    """The format in which such a journal is archived."""
    return ARCHIVE_FORMAT if derived.evidence or derived.marks else PLAIN_FORMAT


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is in the archive and what it was made from.

    Attributes:
        format: of the archive.
        run: identity of the run.
        state: how far it had come; an unfinished run can be archived too.
        entries: how many the journal has.
        head: hash of the last entry, hex.
        first_wall_ms: wall stamp of the first entry.
        last_wall_ms: wall stamp of the last entry.
        divergence: where the decisions did not follow when it was made; None when all did.
        parts: every other part, in order.
        marks: what stands beside any verdict on attestation.
        evidence: how many of those verdicts can be judged again.
    """

    format: int
    run: str
    state: State
    entries: int
    head: str
    first_wall_ms: int
    last_wall_ms: int
    divergence: str | None
    parts: tuple[Part, ...]
    marks: tuple[str, ...] = ()
    evidence: Tally | None = None


_KEPT_PARTS: Final = f"""\
{EVIDENCE}    what the attested plane answered, when, to which nonce, on which connection, and
                  the verdict with every reason; a line is a record, in the journal's order
{EVIDENCE_PARTS}
                  the policies, Intel's documents and test roots that it was judged by
"""
_KEPT_CHECK: Final = f"""\
5. The evidence: SHA-256 of each line of {EVIDENCE}, without its end, stands as `record` in
   the journal's entry about it. `cutover attest recheck FILE` judges each again, offline.
   Most looks of the monitoring are thinned out: their names stand in the journal, and nothing
   else is left of them. A MARK above stands beside the verdicts that it is about, in the
   journal; TEST ROOT means a rehearsal, in which no genuine machine proved anything.
"""


def write_manifest(manifest: Manifest) -> bytes:
    """The manifest's one form."""
    return pretty(manifest)


def readme(derived: Derived, entries: int, head: str) -> bytes:
    """The page that explains an archive to somebody who has nothing but the archive."""
    run, state, kept = derived.adopted.run, derived.state, format_of(derived) != PLAIN_FORMAT
    marks = "".join(f"MARK     {mark}\n" for mark in derived.marks)
    parts, check = (_KEPT_PARTS, _KEPT_CHECK) if kept else ("", "")
    return f"""\
The record of a cutover

Run      {run}
State    {state.value} when this was made
Entries  {entries}
Head     {entries}:{head}
{marks}
A service was moved from one hosting plane to another by a written runbook. Everything that was
observed, ordered and decided on the way is in journal.jsonl, one line an entry, each bound by a
hash to all lines before it. The other parts repeat what the journal says, for reading.

runbook.toml      what was agreed, word for word
journal.jsonl     the record: number, observed and wall milliseconds, fact, hash; a closing line.
                  A long one goes on in journal.2.jsonl, journal.3.jsonl, …: join them first
{parts}canary.jsonl      the canary runs
incidents.json    every rollback or abort: why, on what evidence, from when to when
postchecks.json   the checks after the cutover
versions.json     what executed the run, and what made this archive
{MANIFEST}     size and SHA-256 of every part, and the head of the journal

How to check it, offline

1. `cutover archive verify FILE` checks all of the below, and decides everything anew.
2. By hand: `sha256sum` of each part against {MANIFEST}.
3. The chain: the hash of entry N is SHA-256 over, in this order,
       "phala-cutover journal link v1" and a zero byte,
       the hash of entry N-1 (32 bytes), N, at_ms, wall_ms and the payload's length in bytes
       (each 8 bytes, big-endian; at_ms and wall_ms signed), and the payload as it stands in the
       line. Before entry 1 stands SHA-256 over "phala-cutover journal genesis v1" and a zero byte,
       the length of the run's identity in UTF-8 (8 bytes, big-endian), and that identity.
4. Whoever could write this file could also have written all of it anew. Compare the head above
   with one that was noted while the run went on.
{check}""".encode()
