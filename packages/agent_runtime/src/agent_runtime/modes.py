"""Who asks, and how they want to be answered: modes on disk, by channel and author (contract §5).

An author is what a channel calls its user; the same word in two channels is two people (contract
§11.13). An author that many share has no mode of its own.
"""

import sqlite3
import time
from dataclasses import dataclass
from enum import StrEnum

from agent_runtime.errors import Refusal

SHARED_AUTHORS = frozenset({"", "web_user"})
SIGNED_CHANNEL = "farcaster"
"""Only the signed webhook speaks in it: whoever asks over HTTP says who asks, and is believed."""
AUTHORS_MAX = 100_000

SCHEMA = """
CREATE TABLE IF NOT EXISTS modes (
  channel TEXT NOT NULL, author TEXT NOT NULL, execution TEXT, experience TEXT,
  updated_at REAL NOT NULL, PRIMARY KEY (channel, author)
);
"""


class Execution(StrEnum):
    """What becomes of `create` and `pay`: advice only, a plan to approve, or the deed."""

    ADVISOR = "advisor"
    DRAFT = "draft"
    EXECUTE = "execute"


class Experience(StrEnum):
    """GUIDED names the next step in an answer, HANDS_OFF does not. No model reads any text."""

    GUIDED = "guided"
    HANDS_OFF = "hands_off"


@dataclass(frozen=True)
class Caller:
    """Somebody in a channel.

    Attributes:
        channel: `web`, `cast`, `dm`, or what else the request called its type; `SIGNED_CHANNEL`
            for a delivery whose author is proved.
        author: the channel's name for its user.
        wallet: NEAR account the request gave for them; empty for none.
    """

    channel: str
    author: str
    wallet: str = ""

    @property
    def shared(self) -> bool:
        """Whether this name stands for anybody."""
        return self.author in SHARED_AUTHORS


class Modes:
    """The modes table.

    Args:
        db: the store.
        default: the execution mode of whoever chose none.
    """

    def __init__(self, db: sqlite3.Connection, default: Execution) -> None:
        self._db = db
        self._default = default
        db.executescript(SCHEMA)

    def execution(self, caller: Caller) -> Execution:
        """How this caller's commands are carried out."""
        found = self._of("execution", caller)
        return Execution(found) if found else self._default

    def experience(self, caller: Caller) -> Experience:
        """How much is said to this caller."""
        found = self._of("experience", caller)
        return Experience(found) if found else Experience.GUIDED

    def choose(self, caller: Caller, mode: Execution | Experience) -> None:
        """Remember a choice durably.

        Raises:
            Refusal: nobody in particular chooses.
        """
        if caller.shared:
            raise Refusal("a mode belongs to one author; this request names none of its own")
        if self._full(caller):
            raise Refusal("too many authors have chosen a mode; ask the operator")
        column = "execution" if isinstance(mode, Execution) else "experience"
        with self._db:
            self._db.execute(
                f"INSERT INTO modes (channel, author, {column}, updated_at) VALUES (?,?,?,?)"  # noqa: S608 - one of two constants
                f" ON CONFLICT DO UPDATE SET {column}=excluded.{column},"
                " updated_at=excluded.updated_at",
                (caller.channel, caller.author, mode.value, time.time()),
            )

    def _full(self, caller: Caller) -> bool:
        """Whether there is no room for one more author; nobody else's choice is ever dropped."""
        known, count = self._db.execute(
            "SELECT EXISTS (SELECT 1 FROM modes WHERE channel=? AND author=?),"
            " (SELECT COUNT(*) FROM modes)",
            (caller.channel, caller.author),
        ).fetchone()
        return not known and count >= AUTHORS_MAX

    def _of(self, column: str, caller: Caller) -> str | None:
        row = self._db.execute(
            f"SELECT {column} FROM modes WHERE channel=? AND author=?",  # noqa: S608 - one of two constants
            (caller.channel, caller.author),
        ).fetchone()
        return None if row is None else row[0]
