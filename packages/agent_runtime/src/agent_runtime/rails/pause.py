"""A rail that asks for a pause gets one, from every caller at once (rails §1).

A limit belongs to a credential: what one call is told, all calls under the same credential keep to.
A limited call was not carried out, and still it is no "no": whoever cannot wait until the pause is
over learns that the outcome is unknown.
"""

import asyncio
import json
import time
from collections.abc import Mapping

from agent_runtime.errors import RailUnknown
from agent_runtime.wire import Answer

BACK_OFF_SECONDS = 60.0
KNOWN_MAX = 1_000
LEAST_SECONDS = 1.0
MOST_SECONDS = 3_600.0
"""No window of a limit is longer; after that it is worth a try again."""


class Pauses:
    """Until when nobody may ask, by credential.

    Args:
        service: whose rail this is, for errors.
    """

    def __init__(self, service: str) -> None:
        self._service = service
        self._until: dict[str, float] = {}
        self._strikes: dict[str, int] = {}

    async def sit_out(self, name: str, deadline: float) -> None:
        """Wait until the credential `name` may be used; `deadline` is monotonic time.

        Raises:
            RailUnknown: the pause is longer than the caller may wait; nothing was sent.
        """
        while (left := self._until.get(name, 0.0) - time.monotonic()) > 0:
            if time.monotonic() + left >= deadline:
                raise RailUnknown(
                    self._service, f"rate limit reached; nothing is asked for {left:.0f} s more"
                )
            await asyncio.sleep(left)

    def heed(self, name: str, answer: Answer) -> bool:
        """Note what an answer says about the limit; True if it says that the call was limited."""
        limited = is_limited(answer)
        if limited:
            strikes = self._strikes.get(name, 0)
            self._strikes[name] = min(strikes + 1, 6)
            told = _told(answer.headers)
            self._hold(name, BACK_OFF_SECONDS * 2**strikes if told is None else told)
        elif answer.status < 500:
            self._strikes.pop(name, None)
            if _spent(answer.headers):  # the next call would be refused, and be held against us
                self._hold(name, _told(answer.headers) or 0.0)
        return limited

    def _hold(self, name: str, seconds: float) -> None:
        held, now = min(max(seconds, LEAST_SECONDS), MOST_SECONDS), time.monotonic()
        until = now + held
        if len(self._until) >= KNOWN_MAX:  # nobody takes part in a pause that is over
            self._until = {one: end for one, end in self._until.items() if end > now}
            self._strikes = {one: n for one, n in self._strikes.items() if one in self._until}
        self._until[name] = max(until, self._until.get(name, 0.0))


def is_limited(answer: Answer) -> bool:
    """Whether an answer is a limit and not a refusal; 403 may be either. Pure."""
    if answer.status == 429:
        return True
    if answer.status != 403:
        return False
    return "retry-after" in answer.headers or _spent(answer.headers) or _says_so(answer.body)


def _spent(headers: Mapping[str, str]) -> bool:
    return headers.get("x-ratelimit-remaining", "").strip() == "0"


def _told(headers: Mapping[str, str]) -> float | None:
    """How long to wait in seconds, as the answer says; None if it does not."""
    after = headers.get("retry-after", "").strip()
    if _is_number(after):
        return float(after)
    reset = headers.get("x-ratelimit-reset", "").strip()
    return float(reset) - time.time() if _spent(headers) and _is_number(reset) else None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 12


def _says_so(body: bytes) -> bool:
    """Whether the message names the limit: a secondary one may come without any header."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and "rate limit" in str(found.get("message", "")).lower()
