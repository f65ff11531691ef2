"""What the candidate runs, by the newest evidence that verified."""

import asyncio


class AttestedCompose:
    """Holds the app-compose file that the newest verified evidence vouches for.

    Its hash was measured, and the same evidence vouches for a TLS key; who asks says which key the
    plane is spoken to under, so that a file is never taken for that of another machine.
    """

    def __init__(self) -> None:
        self._spki = ""
        self._raw: bytes | None = None
        self._changed = asyncio.Event()

    def hold(self, spki: str, raw: bytes | None) -> None:
        """Take what evidence has just vouched for.

        Args:
            spki: SHA-256 (hex) of the attested TLS key.
            raw: the app-compose file as delivered; None if there was none.
        """
        self._spki, self._raw = spki, raw
        self._changed.set()
        self._changed = asyncio.Event()

    async def proved(self, spki: str, deadline_ms: float) -> bytes | None:
        """The file under this key, as soon as there is one; None if none comes in time."""
        try:
            async with asyncio.timeout(deadline_ms / 1000):
                while self._raw is None or self._spki != spki:
                    await self._changed.wait()
        except TimeoutError:
            return None
        return self._raw
