"""The hash chain: what binds every entry to all that went before, and what breaks it.

Each entry's hash covers a domain tag with the format's version, the hash before it, its number,
both stamps and the length of its payload, all of fixed width, then the payload: no two different
entries have the same bytes under the hash. The first hash is bound to the run's identity. A head
(number and hash of the last entry) is kept apart from the entries, so a cut tail shows as well.

The first entry that does not fit is compared with all that follows it, which tells what happened:

    changed     nothing that follows is what belongs here
    missing     the numbers, or the hashes, go on without it
    reordered   what belongs here stands further on
    inserted    so it does, and there are more entries than the head counts
    truncated   there are fewer entries than the head counts, and all fit
"""

import hashlib
import struct
from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from typing import Final, NamedTuple

import msgspec

FORMAT: Final = 1
HASH_BYTES: Final = 32
INTEGER_MAX: Final = 2**63 - 1

_LINK_TAG: Final = b"phala-cutover journal link v1\x00"
_GENESIS_TAG: Final = b"phala-cutover journal genesis v1\x00"
_FRAME: Final = struct.Struct(">32sQqqQ")


class Row(NamedTuple):
    """An entry as it is stored; `flaw` says why it is not even in the form of one."""

    seq: int
    at_ms: int
    wall_ms: int
    payload: bytes
    hash: bytes
    flaw: str = ""


class Point(NamedTuple):
    """A place in the chain: the number of an entry (0 before the first) and its hash."""

    seq: int
    hash: bytes


class What(StrEnum):
    """What happened to a journal."""

    CHANGED = "changed"
    MISSING = "missing"
    REORDERED = "reordered"
    INSERTED = "inserted"
    TRUNCATED = "truncated"


class Fault(msgspec.Struct, frozen=True):
    """The first bad entry.

    Attributes:
        what: what happened to it.
        seq: its number; 0 is the run's identity.
        seen: what stands there.
        expected: what belongs there.
    """

    what: What
    seq: int
    seen: str
    expected: str

    def __str__(self) -> str:
        return f"entry {self.seq} {self.what}: seen {self.seen}; expected {self.expected}"


class Verified(msgspec.Struct, frozen=True):
    """Every entry fits.

    Attributes:
        seq: number of the last entry.
        hash: of the last entry: the head.
    """

    seq: int
    hash: bytes


def genesis(run_id: str) -> bytes:
    """The hash before the first entry, bound to the run's identity."""
    name = run_id.encode()
    return hashlib.sha256(_GENESIS_TAG + struct.pack(">Q", len(name)) + name).digest()


def link(previous: bytes, seq: int, at_ms: int, wall_ms: int, payload: bytes) -> bytes:
    """The hash of an entry.

    Args:
        previous: hash of the entry before, or `genesis`; exactly 32 bytes.
        seq: its number, from 1.
        at_ms: observed milliseconds.
        wall_ms: milliseconds since the epoch.
        payload: canonical bytes of its fact.

    Raises:
        ValueError: `previous` is not a hash.
        struct.error: a number beyond 64 bits.
    """
    if len(previous) != HASH_BYTES:
        raise ValueError(f"a hash of {len(previous)} bytes, expected {HASH_BYTES}")
    frame = _FRAME.pack(previous, seq, at_ms, wall_ms, len(payload))
    return hashlib.sha256(_LINK_TAG + frame + payload).digest()


def read_row(fields: tuple[object, ...]) -> Row:
    """A row from whatever a store held; a value of a wrong form becomes the row's flaw."""
    match fields:
        case (int(seq), int(at_ms), int(wall_ms), bytes(payload), bytes(digest)):
            if not (0 < seq <= INTEGER_MAX and 0 <= at_ms <= INTEGER_MAX):
                return Row(seq, 0, 0, payload, digest, f"seq {seq} and at_ms {at_ms}")
            if abs(wall_ms) > INTEGER_MAX or len(digest) != HASH_BYTES:
                return Row(seq, 0, 0, payload, digest, f"a hash of {len(digest)} bytes")
            return Row(seq, at_ms, wall_ms, payload, digest)
        case (int(seq), *_):
            return Row(seq, 0, 0, b"", b"", "values of a wrong type")
        case _:
            return Row(-1, 0, 0, b"", b"", "no number")


def verify(
    rows: Iterable[Row], start: Point, head: Point, accept: Callable[[Row], None] | None = None
) -> Verified | Fault:
    """Follow the chain once, holding one row at a time.

    Args:
        rows: in stored order, beginning after `start`.
        start: a place that is trusted: (0, genesis), or an entry already verified.
        head: number and hash of the last entry, kept apart from the rows.
        accept: told of every row that fits, in order.
    """
    feed = iter(rows)
    at = start
    for row in feed:
        seq = at.seq + 1
        if row.seq != seq or seq > head.seq or not _fits(row, seq, at.hash):
            return _diagnose(row, feed, at, start, head)
        at = Point(seq, row.hash)
        if accept is not None:
            accept(row)
    if at.seq < head.seq:
        return Fault(
            What.TRUNCATED,
            at.seq + 1,
            f"{at.seq} entries",
            f"{head.seq}, the last with hash {_short(head.hash)}, as the head says",
        )
    if at != head:
        return Fault(
            What.CHANGED,
            at.seq,
            f"hash {_short(at.hash)}, which fits the entries before",
            f"hash {_short(head.hash)} at number {head.seq}, as the head says",
        )
    return Verified(at.seq, at.hash)


def _fits(row: Row, seq: int, previous: bytes) -> bool:
    return not row.flaw and row.hash == link(previous, seq, row.at_ms, row.wall_ms, row.payload)


def _short(digest: bytes) -> str:
    return f"{digest.hex()[:16]}…" if digest else "none"


def _seen(row: Row) -> str:
    return f"an entry numbered {row.seq} with hash {_short(row.hash)}" + (
        f" ({row.flaw})" if row.flaw else ""
    )


class _Rest(NamedTuple):
    """What follows the first bad row."""

    after: Row | None
    belongs: Row | None
    following: int


def _survey(feed: Iterator[Row], seq: int, previous: bytes) -> _Rest:
    after = belongs = None
    count = 0
    for row in feed:
        count += 1
        after = after or row
        if belongs is None and _fits(row, seq, previous):
            belongs = row
    return _Rest(after, belongs, count)


def _diagnose(row: Row, feed: Iterator[Row], at: Point, start: Point, head: Point) -> Fault:
    seq = at.seq + 1
    if seq > head.seq:
        return Fault(What.INSERTED, seq, _seen(row), f"the end: the head says {head.seq} entries")
    if _fits(row, seq, at.hash):
        return Fault(What.CHANGED, seq, f"its number reads {row.seq}", f"number {seq}")
    rest = _survey(feed, seq, at.hash)
    surplus = (at.seq - start.seq + 1 + rest.following) - (head.seq - start.seq)
    if rest.belongs is not None:
        what = What.INSERTED if surplus > 0 else What.REORDERED
        copy = " (a copy of the entry before)" if row.hash == at.hash else ""
        return Fault(
            what,
            seq,
            _seen(row) + copy,
            f"hash {_short(rest.belongs.hash)}, which stands further on, numbered "
            f"{rest.belongs.seq}",
        )
    if row.seq > seq:
        return Fault(What.MISSING, seq, _seen(row), _between(seq, row.seq - 1))
    if surplus < 0 and _goes_on(row, rest.after, seq - surplus, head):
        gap = _between(seq, seq - surplus - 1)
        return Fault(What.MISSING, seq, f"{_seen(row)}, renumbered", gap)
    return _changed(row, rest.after, at, head)


def _between(first: int, last: int) -> str:
    return f"number {first}" if first == last else f"numbers {first} to {last}"


def _goes_on(row: Row, after: Row | None, seq: int, head: Point) -> bool:
    """Whether what follows `row` was chained to it when `row` was number `seq`."""
    if row.flaw:
        return False
    return row.hash == head.hash if after is None else _fits(after, seq + 1, row.hash)


def _changed(row: Row, after: Row | None, at: Point, head: Point) -> Fault:
    seq = at.seq + 1
    if row.flaw or row.seq != seq:
        return Fault(What.CHANGED, seq, _seen(row), f"number {seq}, chained to the entry before")
    computed = link(at.hash, seq, row.at_ms, row.wall_ms, row.payload)
    if _goes_on(row, after, seq, head):
        seen, expected = f"content with hash {_short(computed)}", f"{_short(row.hash)}, as stored"
        return Fault(What.CHANGED, seq, seen, f"{expected} and as the next entry confirms")
    if _goes_on(row._replace(hash=computed), after, seq, head):
        expected = f"{_short(computed)}, as its content and the next entry say"
        return Fault(What.CHANGED, seq, f"stored hash {_short(row.hash)}", expected)
    expected = f"{_short(computed)}, as its content says; what follows fits neither"
    return Fault(What.CHANGED, seq, f"stored hash {_short(row.hash)}", expected)
