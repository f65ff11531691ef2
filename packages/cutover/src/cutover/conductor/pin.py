"""The TLS key that the candidate has proved, for those who must not speak to it under another."""

import asyncio


class Pin:
    """Holds the key as the journal has it; whoever needs one waits for it.

    Attributes:
        spki: SHA-256 (hex) of its SubjectPublicKeyInfo; empty while none has proved itself.
    """

    def __init__(self) -> None:
        self.spki = ""
        self._there = asyncio.Event()

    def hold(self, spki: str) -> None:
        """Take the key that the newest entry left standing; an empty one takes it away."""
        self.spki = spki
        if spki:
            self._there.set()
        else:
            self._there.clear()

    async def proved(self, deadline_ms: float) -> str:
        """The key, as soon as there is one; empty if there is none within the deadline."""
        try:
            async with asyncio.timeout(deadline_ms / 1000):
                await self._there.wait()
        except TimeoutError:
            return ""
        return self.spki
