"""The journal as text: one line of JSON an entry, then one closing line with run and head.

The exact bytes of each payload are kept, so the chain is verified over them. A line has one form
only: whatever is not what we would write is a flaw, down to a space or the case of a hex digit.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

import msgspec

from cutover.errors import JournalError
from cutover.journal.chain import FORMAT, Point, Row, What, read_row
from cutover.journal.entry import PAYLOAD_BYTES_MAX

LINE_BYTES_MAX: Final = PAYLOAD_BYTES_MAX + 1024
CLOSING_BYTES_MAX: Final = 4096


class _Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    seq: int
    at_ms: int
    wall_ms: int
    payload: msgspec.Raw
    hash: str


class Closing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The last line: without it the text was cut.

    Attributes:
        format: of the chain.
        run: identity of the run.
        entries: how many lines stand before.
        head: hash of the last entry, hex.
    """

    format: int
    run: str
    entries: int
    head: str


_LINE: Final = msgspec.json.Decoder(_Line)
_CLOSING: Final = msgspec.json.Decoder(Closing)
_ENCODER: Final = msgspec.json.Encoder()


def write_lines(rows: Iterable[Row], run: str, head: Point) -> Iterator[bytes]:
    """The text of a verified journal, line by line."""
    for row in rows:
        yield _line(row)
    yield _closing(Closing(FORMAT, run, head.seq, head.hash.hex()))


def _line(row: Row) -> bytes:
    raw = msgspec.Raw(row.payload)
    line = _Line(row.seq, row.at_ms, row.wall_ms, raw, row.hash.hex())
    return _ENCODER.encode(line) + b"\n"


def _closing(closing: Closing) -> bytes:
    return _ENCODER.encode(closing) + b"\n"


def read_lines(stream: BinaryIO, end: int) -> Iterator[Row]:
    """Rows of a text, as they are; a line that is not in our form becomes a row with a flaw.

    Args:
        stream: at the first line.
        end: where the closing line begins.
    """
    at = 0
    while at < end:
        line = stream.readline(LINE_BYTES_MAX + 1)
        at += len(line)
        yield _read_line(line)
        if not line or len(line) > LINE_BYTES_MAX:
            return


def _read_line(line: bytes) -> Row:
    if len(line) > LINE_BYTES_MAX:
        return Row(-1, 0, 0, b"", b"", f"a line of more than {LINE_BYTES_MAX} bytes")
    try:
        said = _LINE.decode(line)
        row = read_row(
            (said.seq, said.at_ms, said.wall_ms, bytes(said.payload), bytes.fromhex(said.hash))
        )
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
        return Row(-1, 0, 0, b"", b"", f"a line that cannot be read: {error}")
    if not row.flaw and _line(row) != line:
        return row._replace(flaw="a line written in another form")
    return row


class Tail(NamedTuple):
    """How a text ends.

    Attributes:
        closing: the closing line, if there is a sound one.
        begins: where it begins, which is where the entries end.
        what: what happened to it when there is none.
        trouble: the same in words.
    """

    closing: Closing | None
    begins: int
    what: What = What.CHANGED
    trouble: str = ""


def read_tail(path: Path) -> Tail:
    """Read the closing line.

    Raises:
        JournalError: the text has a format that this version does not know.
    """
    size = path.stat().st_size
    with path.open("rb") as stream:
        stream.seek(max(0, size - CLOSING_BYTES_MAX))
        tail = stream.read(CLOSING_BYTES_MAX)
    line = tail[tail.rfind(b"\n", 0, -1) + 1 :]
    begins = size - len(line)
    if len(line) == CLOSING_BYTES_MAX or not _read_line(line).flaw:
        return Tail(None, size, What.TRUNCATED, "no closing line")
    if not line.endswith(b"\n"):
        return Tail(None, begins, What.TRUNCATED, "a last line without an end")
    try:
        closing = _CLOSING.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Tail(None, begins, What.CHANGED, "a closing line that cannot be read")
    if closing.format != FORMAT:
        raise JournalError(
            f"{path} has journal format {closing.format}, this version reads {FORMAT}; use the "
            "version that wrote it, or a newer one"
        )
    if _closing(closing) != line:
        return Tail(None, begins, What.CHANGED, "a closing line written in another form")
    return Tail(closing, begins)
