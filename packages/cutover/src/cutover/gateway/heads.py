"""Heads of messages that the strict parser has accepted, and what it read in them.

Peers repeat themselves: the head of one request is that of the next, byte for byte. What a head
says depends on its bytes alone, so the parser need not be asked about the same bytes again. Rules:

1. Only a head that came in one read, followed by its whole body and nothing else, is remembered.
2. It is recognised only where a message begins, and only if exactly its body follows it. Whatever
   differs by one byte goes to the parser.
3. The number of heads and their size are bounded; when there are too many all are forgotten.
"""

from typing import Final, Generic, Protocol, TypeVar

HEAD_END: Final = b"\r\n\r\n"
HEAD_END_BYTES: Final = len(HEAD_END)
HEADS_MAX: Final = 2048
HEAD_BYTES_MAX: Final = 1024


class Framed(Protocol):
    """What a head says about the message.

    Attributes:
        length: bytes of the body.
    """

    length: int


H = TypeVar("H", bound=Framed)


class Heads(Generic[H]):
    """Remembered heads.

    Attributes:
        known: what was read in them, by their bytes.
    """

    __slots__ = ("known",)

    def __init__(self) -> None:
        self.known: dict[bytes, H] = {}

    def remember(self, read: bytes, head: H, length: int) -> None:
        """Remember a head if `read` is exactly it and a body of `length` bytes."""
        end = len(read) - length
        if end > HEAD_BYTES_MAX or read.find(HEAD_END) + HEAD_END_BYTES != end:
            return
        if len(self.known) >= HEADS_MAX:
            self.known.clear()
        head.length = length
        self.known[read[:end]] = head
