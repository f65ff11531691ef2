"""How many of a set of people have a verified wallet, and how the others are invited."""

from collections.abc import Sequence
from urllib.parse import quote

from agent_runtime.grammar import Repo

NAMED_MAX = 5


def invite_link(web_base: str, repo: Repo) -> str:
    """Where contributors of a repository verify themselves."""
    return f"{web_base}/verify?repo={quote(repo.slug, safe='')}"


def need_verification(logins: Sequence[str]) -> str:
    """`@a, @b, +n more`."""
    named = [f"@{login}" for login in logins[:NAMED_MAX]]
    if len(logins) > NAMED_MAX:
        named.append(f"+{len(logins) - NAMED_MAX} more")
    return ", ".join(named)
