"""The one family of errors that our code raises on purpose.

Every message says what was seen, what was expected and what to do next. Anything else that
escapes is a defect and stops the process loudly.
"""

from typing import ClassVar


class CutoverError(Exception):
    """Expected trouble with an explanation; the CLI prints it and exits with `exit_code`."""

    exit_code: ClassVar[int] = 1


class ConfigurationError(CutoverError):
    """A file or setting that cannot be used; nothing was started and nothing was changed."""

    exit_code: ClassVar[int] = 2


class JournalError(CutoverError):
    """The journal cannot be trusted or written; the conductor stops rather than guess."""

    exit_code: ClassVar[int] = 4


class TableError(CutoverError):
    """A routing table that must not be put in force."""

    exit_code: ClassVar[int] = 1


class OrderRefusedError(CutoverError):
    """An operator's order that does not apply now; the message says when it would."""

    exit_code: ClassVar[int] = 3


class UnreachableError(CutoverError):
    """The conductor did not answer the CLI."""

    exit_code: ClassVar[int] = 5
