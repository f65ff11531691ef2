"""Whether an account has published a text: the proof that somebody controls it."""

import asyncio
import re

from agent_runtime.errors import RailUnknown
from agent_runtime.rails.github import Account, GitHub

OPENED_MAX = 5
SEARCH_SECONDS = 10.0


async def is_published(github: GitHub, account: Account, code: str) -> bool:
    """Whether the account's newest public gists hold a code as a word of its own.

    Only gists whose owner has the account's number count: a login may have changed hands since.
    Description and file names are read of all of them, contents of the newest `OPENED_MAX`.

    Raises:
        RailError: GitHub refused.
        RailUnknown: it gave no usable answer in time.
    """
    whole = re.compile(rf"(?<![A-Za-z0-9-]){re.escape(code)}(?![A-Za-z0-9-])")
    try:
        async with asyncio.timeout(SEARCH_SECONDS):
            found = await github.gists(account.login)
            own = [gist for gist in found if gist.owner == account.id]
            if any(whole.search(gist.words) for gist in own):
                return True
            opened = (github.gist_text(gist) for gist in own[:OPENED_MAX])
            return any(whole.search(text) for text in await asyncio.gather(*opened))
    except TimeoutError as error:
        raise RailUnknown("github", f"no gists within {SEARCH_SECONDS:g} s") from error
