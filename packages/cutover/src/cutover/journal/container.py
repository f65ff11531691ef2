"""One zip file, written the same way every time, and read as if a stranger had sent it.

The reader accepts exactly the layout that the writer makes: known names, once each, in order, back
to back, compressed with DEFLATE, nothing before, between or behind. Sizes are bounded before a
byte is unpacked.
"""

import hashlib
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from cutover.crashpoint import crashpoint
from cutover.errors import JournalError
from cutover.journal.finding import Finding, Flaw
from cutover.journal.kept import EVIDENCE, EVIDENCE_PARTS

MANIFEST: Final = "MANIFEST.json"
JOURNAL: Final = "journal.jsonl"
PARTS: Final[Mapping[str, int]] = {
    "README.txt": 1 << 16,
    "runbook.toml": 4 << 20,
    "versions.json": 1 << 20,
    "incidents.json": 64 << 20,
    "postchecks.json": 64 << 20,
    "canary.jsonl": 512 << 20,
    JOURNAL: 1 << 30,
    MANIFEST: 1 << 20,
}
"""Every part in its order, and the most bytes that it may have unpacked."""

KEPT_PARTS: Final[Mapping[str, int]] = {EVIDENCE: 1 << 30, EVIDENCE_PARTS: 64 << 20}
"""Behind the journal, both or none: an archive without kept evidence is as it always was."""

JOURNAL_PARTS_MAX: Final = 16
"""A longer journal goes on in `journal.2.jsonl` and so on, each with the bound of the first."""
_FURTHER: Final = re.compile(r"journal\.([1-9][0-9]?)\.jsonl")

RATIO_MAX: Final = 200
RATIO_FROM_BYTES: Final = 1 << 20
CHUNK_BYTES: Final = 1 << 18

_END: Final = struct.Struct("<4s4H2LH")
_LOCAL: Final = struct.Struct("<4s5H3L2H")
_ENTRY: Final = struct.Struct("<4s4B4H3L5H2L")
_DIRECTORY_BYTES_MAX: Final = 4096
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
_DATE: Final = 0x21  # _EPOCH as a zip file writes it
_ATTRIBUTES: Final = 0o600 << 16
# zipfile says NotImplementedError to a method of packing that it does not know
_UNREADABLE: Final = (
    zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError, OSError,
    struct.error,
)  # fmt: skip


class Part(msgspec.Struct, frozen=True):
    """A part as the manifest lists it.

    Attributes:
        name: in the archive.
        sha256: hex, of its unpacked bytes.
        size: of them.
    """

    name: str
    sha256: str
    size: int


def journal_part(number: int) -> str:
    """Name of the journal's first, second, … part."""
    return JOURNAL if number == 1 else f"journal.{number}.jsonl"


def _number(name: str) -> int:
    """Which part of the journal a name is; 0 for anything else."""
    found = _FURTHER.fullmatch(name)
    number = int(found[1]) if found else 0
    return number if 2 <= number <= JOURNAL_PARTS_MAX else int(name == JOURNAL)


def bound(name: str) -> int:
    """The most bytes that a part may have unpacked; 0 when it is no part of an archive."""
    return PARTS[JOURNAL] if _number(name) else PARTS.get(name, KEPT_PARTS.get(name, 0))


def journal_parts(names: Iterable[str]) -> list[str]:
    """The journal's parts up to the last one among the names."""
    last = max((_number(name) for name in names), default=0)
    return [journal_part(number) for number in range(1, max(1, last) + 1)]


def parts_in_order(names: Iterable[str]) -> list[str]:
    """Every part that an archive with such names has, in its order."""
    names = list(names)
    kept = list(KEPT_PARTS) if any(name in KEPT_PARTS for name in names) else []
    journal = journal_parts(names) + kept
    return [part for name in PARTS for part in (journal if name == JOURNAL else [name])]


class _Piece:
    """As much of a stream as a part may hold; `left` is the chunk that did not fit."""

    def __init__(self, first: bytes, feed: Iterator[bytes], limit: int) -> None:
        self._first, self._feed, self._limit = first, feed, limit
        self.left: bytes | None = None

    def __iter__(self) -> Iterator[bytes]:
        size = len(self._first)
        yield self._first
        for chunk in self._feed:
            size += len(chunk)
            if size > self._limit:
                self.left = chunk
                return
            yield chunk


def write_journal(archive: zipfile.ZipFile, chunks: Iterable[bytes]) -> list[Part]:
    """Stream the journal in, as many parts as it needs.

    Raises:
        JournalError: it needs more than a reader would accept.
    """
    feed, parts = iter(chunks), list[Part]()
    left: bytes | None = next(feed, b"")
    while left is not None:
        if len(parts) == JOURNAL_PARTS_MAX:
            raise JournalError(
                f"the journal has more than {JOURNAL_PARTS_MAX} times {PARTS[JOURNAL]} bytes, more "
                "than an archive may hold; keep the journal.db itself"
            )
        piece = _Piece(left, feed, PARTS[JOURNAL])
        parts.append(write_part(archive, journal_part(len(parts) + 1), piece))
        left = piece.left
    return parts


def write_part(archive: zipfile.ZipFile, name: str, chunks: Iterable[bytes]) -> Part:
    """Stream one part in.

    Raises:
        JournalError: it is larger than a reader would accept.
    """
    info = zipfile.ZipInfo(name, _EPOCH)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.create_system = 3
    info.external_attr = _ATTRIBUTES
    digest, size = hashlib.sha256(), 0
    with archive.open(info, "w") as member:
        for chunk in chunks:
            size += len(chunk)
            if size > bound(name):
                raise JournalError(
                    f"{name} has more than {bound(name)} bytes, more than an archive may hold; "
                    "keep the journal.db itself"
                )
            digest.update(chunk)
            member.write(chunk)
    return Part(name, digest.hexdigest(), size)


def make_durable(stream: BinaryIO, temporary: Path, output: Path) -> None:
    """Put a finished file under its name, whole or not at all."""
    stream.flush()
    os.fsync(stream.fileno())
    crashpoint("archive.rename.before")
    temporary.replace(output)
    folder = os.open(output.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def inspect(stream: BinaryIO, size: int) -> tuple[zipfile.ZipFile | None, list[Finding]]:
    """Look at the layout before anything is unpacked.

    Returns:
        The archive, or None when it must not be read further; and what is wrong with it.
    """
    if trouble := _end_trouble(stream, size):
        return None, [Finding("archive", Flaw.UNREADABLE, trouble)]
    try:
        archive = zipfile.ZipFile(stream)
    except _UNREADABLE as error:
        return None, [Finding("archive", Flaw.UNREADABLE, f"not a zip file: {error}")]
    members = archive.infolist()
    findings = [*_name_findings([m.filename for m in members]), *_size_findings(members)]
    if findings:
        return archive, findings
    hidden = _layout_trouble(stream, members, archive.start_dir)
    return archive, [Finding("archive", Flaw.EXTRA, hidden)] if hidden else []


def _end_trouble(stream: BinaryIO, size: int) -> str:
    if size < _END.size:
        return f"{size} bytes, too few for a zip file; it was cut or is something else"
    stream.seek(size - _END.size)
    magic, disk, start, here, entries, length, offset, comment = _END.unpack(stream.read(_END.size))
    if magic != b"PK\x05\x06" or comment:
        return "no zip directory at its end; it was cut, or something was put behind it"
    if disk or start or here != entries:
        return "several volumes, expected one file"
    if entries > 2 * (len(PARTS) + JOURNAL_PARTS_MAX) or length > _DIRECTORY_BYTES_MAX:
        return f"{entries} parts in a directory of {length} bytes, expected {len(PARTS)} parts"
    if offset + length + _END.size != size:
        return "bytes before the first part, or behind the directory"
    return ""


def _name_findings(names: list[str]) -> Iterator[Finding]:
    for name in dict.fromkeys(names):
        if not bound(name):
            yield Finding(name[:80], Flaw.EXTRA, "no part of an archive")
        elif names.count(name) > 1:
            yield Finding(name, Flaw.DUPLICATE, f"stands in the archive {names.count(name)} times")
    wanted = parts_in_order(names)
    for name in wanted:
        if name not in names:
            yield Finding(name, Flaw.MISSING, "not in the archive")
    known = [name for name in dict.fromkeys(names) if bound(name)]
    right = [name for name in wanted if name in known]
    for seen, expected in zip(known, right, strict=True):
        if seen != expected:
            yield Finding(seen, Flaw.REORDERED, f"stands where {expected} belongs")
            return


def _size_findings(members: list[zipfile.ZipInfo]) -> Iterator[Finding]:
    for member in members:
        size, most = member.file_size, bound(member.filename)
        if most and size > most:
            yield Finding(member.filename, Flaw.OVERSIZED, f"{size} bytes, at most {most}")
        elif member.filename != EVIDENCE and size > _plausible(member.compress_size):
            text = f"unpacks {member.compress_size} bytes to {size}, at most {RATIO_MAX} to one"
            yield Finding(member.filename, Flaw.OVERSIZED, text)
        if member.compress_type != zipfile.ZIP_DEFLATED or member.flag_bits:
            text = f"method {member.compress_type}, flags {member.flag_bits}; expected DEFLATE"
            yield Finding(member.filename, Flaw.UNREADABLE, text)


def _plausible(packed: int) -> int:
    """What that many bytes unpack to at most; evidence is bounded by its size alone.

    A plane chooses its answers, and one that sent nothing but blanks must not spoil the archive.
    """
    return max(RATIO_FROM_BYTES, RATIO_MAX * packed)


def _layout_trouble(stream: BinaryIO, members: list[zipfile.ZipInfo], directory: int) -> str:
    """Every byte outside the packed parts is the one that the writer puts there."""
    at, listing = 0, b""
    for member in members:
        name = member.filename.encode()
        sizes = (member.CRC, member.compress_size, member.file_size, len(name))
        stream.seek(at)
        local = _LOCAL.pack(b"PK\x03\x04", 20, 0, zipfile.ZIP_DEFLATED, 0, _DATE, *sizes, 0)
        if stream.read(len(local) + len(name)) != local + name:
            return f"bytes before {member.filename} that the writer does not put there"
        fixed = (b"PK\x01\x02", 20, 3, 20, 0, 0, zipfile.ZIP_DEFLATED, 0, _DATE)
        listing += _ENTRY.pack(*fixed, *sizes, 0, 0, 0, 0, _ATTRIBUTES, at) + name
        at += len(local) + len(name) + member.compress_size
    stream.seek(at)
    if at != directory or stream.read(len(listing)) != listing:
        return "a directory, or bytes before it, that the writer does not make"
    return ""


def unpack(archive: zipfile.ZipFile, name: str) -> Iterator[bytes]:
    """A part's bytes, chunk by chunk, never more than its bound allows.

    Raises:
        JournalError: it cannot be unpacked, or is not what the directory says.
    """
    try:
        with archive.open(name) as member:
            left = bound(name)
            while chunk := member.read(CHUNK_BYTES):
                left -= len(chunk)
                if left < 0:
                    raise JournalError(f"{name} unpacks to more than {bound(name)} bytes")
                yield chunk
    except _UNREADABLE as error:
        raise JournalError(f"{name} cannot be unpacked: {error}") from error
