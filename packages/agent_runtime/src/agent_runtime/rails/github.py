"""GitHub (rails §1): App authentication, repository metadata, contributors.

The App's token is used wherever the App is installed. The personal token serves only where GitHub
says that the App is *not* installed; an App whose credentials fail is an error, never a fallback.
"""

import asyncio
import re
import time
from dataclasses import dataclass
from typing import Any

import jwt

from agent_runtime import wire
from agent_runtime.connections import Connections
from agent_runtime.errors import RailError, RailUnknown
from agent_runtime.grammar import Repo
from agent_runtime.settings import Settings

CALL_SECONDS = 5.0
ALL_PAGES_SECONDS = 10.0
PER_PAGE = 100
PAGES_MAX = 10
REDIRECTS_MAX = 3
REFRESH_SECONDS = 300
INSTALLED_SECONDS = 3_600
CACHED_INSTALLATIONS_MAX = 1_000
_NEXT = re.compile(r'rel="next"')


@dataclass(frozen=True)
class Contributor:
    """A person, keyed by GitHub's numeric id: a login can change hands.

    Attributes:
        id: the account's id.
        login: its present name.
        commits: contributions GitHub counts.
    """

    id: int
    login: str
    commits: int


@dataclass(frozen=True)
class Contributors:
    """Who contributed, most commits first, and who was left out.

    Attributes:
        repo: spelled as GitHub spells it.
        people: accounts of people.
        bots: accounts left out because they are bots.
        anonymous: entries left out because nobody can prove a commit's e-mail.
        capped: True if GitHub has more pages than were read.
    """

    repo: Repo
    people: tuple[Contributor, ...]
    bots: int
    anonymous: int
    capped: bool


@dataclass
class _Token:
    value: str
    expires: float


class GitHub:
    """The GitHub API as one App, one personal token, or neither."""

    def __init__(self, client: Connections, settings: Settings) -> None:
        self._client = client
        self._settings = settings
        self._tokens: dict[str, _Token] = {}

    @property
    def configured(self) -> bool:
        """Whether there is anything to authenticate with."""
        settings = self._settings
        return bool(settings.github_app_id or settings.github_token)

    async def metadata(self, repo: Repo) -> dict[str, Any]:
        """The repository's own record.

        Raises:
            RailError: no such repository, or no access.
            RailUnknown: GitHub gave no usable answer.
        """
        answer = (await self._get(repo, f"/repos/{repo.slug}")).expect(200)
        found = answer.json()
        if not isinstance(found, dict) or "/" not in str(found.get("full_name")):
            raise RailUnknown("github", "a repository without full_name")
        return found

    async def contributors(self, repo: Repo) -> Contributors:
        """Read all pages, up to `PAGES_MAX`.

        Raises:
            RailError: no such repository, no access, or a history too large for GitHub.
            RailUnknown: GitHub gave no usable answer.
        """
        try:
            async with asyncio.timeout(ALL_PAGES_SECONDS):
                return await self._contributors(repo)
        except TimeoutError as error:
            raise RailUnknown("github", f"timed out after {ALL_PAGES_SECONDS:g} s") from error

    async def _contributors(self, repo: Repo) -> Contributors:
        owner, _, name = str((await self.metadata(repo))["full_name"]).partition("/")
        canonical = Repo(owner, name)
        items: list[dict[str, Any]] = []
        for page in range(1, PAGES_MAX + 1):
            params = {"per_page": str(PER_PAGE), "page": str(page), "anon": "1"}
            answer = await self._get(canonical, f"/repos/{canonical.slug}/contributors", params)
            if answer.expect(200, 204).status == 204:
                return sort_out(canonical, [], capped=False)
            items.extend(_items(answer.json()))
            if not _NEXT.search(answer.headers.get("link", "")):
                return sort_out(canonical, items, capped=False)
        return sort_out(canonical, items, capped=True)

    async def _get(
        self, repo: Repo, path: str, params: dict[str, str] | None = None
    ) -> wire.Answer:
        """GET with authentication; one new token on 401; follows GitHub's own renames only."""
        answer = await self._follow(path, await self._authorization(repo), params)
        dropped = self._tokens.pop(repo.slug.lower(), None) if answer.status == 401 else None
        if dropped is not None:
            answer = await self._follow(path, await self._authorization(repo), params)
        return answer

    async def _follow(
        self, path: str, authorization: str, params: dict[str, str] | None
    ) -> wire.Answer:
        url = self._settings.github_base + path
        for _ in range(REDIRECTS_MAX):
            answer = await self._ask("GET", url, authorization, params)
            if answer.status not in {301, 302, 307, 308}:
                return answer
            url = answer.headers.get("location", "")
            if not url.startswith(self._settings.github_base + "/"):
                raise RailError("github", "a redirect that leaves the API")
        raise RailError("github", "too many redirects")

    async def _authorization(self, repo: Repo) -> str:
        settings = self._settings
        if settings.github_app_id:
            token = await self._installation_token(repo)
            if token:
                return f"token {token}"
            if not settings.github_token:
                raise RailError("github", f"the App is not installed on {repo.slug}")
        return f"token {settings.github_token}" if settings.github_token else ""

    async def _installation_token(self, repo: Repo) -> str:
        """A token of the App for this repository; empty where the App is not installed."""
        cached = self._tokens.get(repo.slug.lower())
        if cached and cached.expires - time.time() > REFRESH_SECONDS:
            return cached.value
        bearer = f"Bearer {self._app_jwt()}"
        base = self._settings.github_base
        found = await self._follow(f"/repos/{repo.slug}/installation", bearer, None)
        if found.status == 404:
            return ""
        number = found.expect(200).json().get("id")
        if not isinstance(number, int):
            raise RailUnknown("github", "an installation without an id")
        url = f"{base}/app/installations/{number}/access_tokens"
        made = (await self._ask("POST", url, bearer, None)).expect(201).json()
        if not isinstance(made, dict) or not isinstance(made.get("token"), str):
            raise RailUnknown("github", "an access token answer without a token")
        if len(self._tokens) >= CACHED_INSTALLATIONS_MAX:
            self._tokens.clear()
        expires = time.time() + INSTALLED_SECONDS
        self._tokens[repo.slug.lower()] = _Token(made["token"], expires)
        return str(made["token"])

    def _app_jwt(self) -> str:
        now = int(time.time())
        claims = {"iat": now - 60, "exp": now + 540, "iss": self._settings.github_app_id}
        return jwt.encode(claims, self._settings.github_private_key, algorithm="RS256")

    async def _ask(
        self, method: str, url: str, authorization: str, params: dict[str, str] | None
    ) -> wire.Answer:
        headers = {
            "accept": "application/vnd.github+json",
            "user-agent": "agent-runtime",
            "x-github-api-version": "2022-11-28",
        }
        if authorization:
            headers["authorization"] = authorization
        return await wire.ask(
            self._client,
            "github",
            method,
            url,
            deadline_seconds=CALL_SECONDS,
            headers=headers,
            params=params,
        )


def _items(found: Any) -> list[dict[str, Any]]:
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise RailUnknown("github", "contributors that are no list of records")
    return found


def sort_out(repo: Repo, items: list[dict[str, Any]], *, capped: bool) -> Contributors:
    """Keep people, once each; count bots and anonymous entries.

    Raises:
        RailUnknown: an entry without login, id or a positive count.
    """
    people: dict[int, Contributor] = {}
    bots = anonymous = 0
    for item in items:
        kind, login = item.get("type"), str(item.get("login", ""))
        if kind == "Anonymous":
            anonymous += 1
        elif kind == "Bot" or is_system_login(login):
            bots += 1
        else:
            person = _person(item)
            people.setdefault(person.id, person)
    ranked = sorted(people.values(), key=lambda person: (-person.commits, person.id))
    return Contributors(repo, tuple(ranked), bots, anonymous, capped)


def _person(item: dict[str, Any]) -> Contributor:
    number, login, commits = item.get("id"), item.get("login"), item.get("contributions")
    if not isinstance(number, int) or not isinstance(commits, int) or commits < 1 or not login:
        raise RailUnknown("github", "a contributor without id, login or count")
    return Contributor(number, str(login), commits)


def is_system_login(login: str) -> bool:
    """Whether a login is a program's by its look (contract §7)."""
    return "[bot]" in login.lower() or login.lower().endswith("-bot")
