"""How long a plane has been bad or well, told from the looks alone."""

from dataclasses import dataclass
from typing import Final

NEVER: Final = -1


@dataclass(slots=True)
class Streak:
    """Of one plane's `/ready`; all times observed milliseconds.

    Attributes:
        at: newest look.
        bad_since: first of the present row of bad looks.
        bad_at: last of them.
        ok_since: first of the present row of good ones.
        sick: it was bad for too long, and is not well for as long yet.
    """

    at: int = NEVER
    bad_since: int = NEVER
    bad_at: int = NEVER
    ok_since: int = NEVER
    sick: bool = False

    def look(self, at: int, *, bad: bool, gap_ms: int, limit_ms: int) -> None:
        """One more look; a row does not reach over a gap in which nothing was seen."""
        if bad:
            if self.bad_since == NEVER or at - self.bad_at > gap_ms:
                self.bad_since = at
            self.bad_at, self.ok_since = at, NEVER
            self.sick = self.sick or at - self.bad_since > limit_ms
        else:
            if NEVER in (self.ok_since, self.at) or at - self.at > gap_ms:
                self.ok_since = at
            self.bad_since = self.bad_at = NEVER
            self.sick = self.sick and at - self.ok_since < limit_ms
        self.at = at

    def lasted(self) -> int:
        """First bad look to last, 0 while well."""
        return 0 if self.bad_since == NEVER else self.bad_at - self.bad_since
