"""GitHub's repositories (rails §1): their record and who contributed.

GitHub counts contributions anew every few hours, so a list is good for some seconds and afterwards
asked for by its ETag, which costs nothing where nothing changed. A list that cannot be refreshed
is an error; an old one never stands in for it.
"""

import asyncio
import re
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from agent_runtime import wire
from agent_runtime.connections import Connections
from agent_runtime.errors import RailUnknown
from agent_runtime.flight import Flight
from agent_runtime.grammar import Repo
from agent_runtime.rails.github_api import Credential, GitHubApi
from agent_runtime.settings import Settings

ALL_PAGES_SECONDS = 10.0
FRESH_SECONDS = 30.0
PER_PAGE = 100
PAGES_MAX = 10
LISTS_KEPT_MAX = 200
ANSWERS_KEPT_MAX = 200
GISTS_READ = 30
_GIST_ID = re.compile(r"[0-9a-f]{1,64}")
_FULL_NAME = re.compile(r"[A-Za-z0-9._-]{1,100}/[A-Za-z0-9._-]{1,100}")
_LOGIN = re.compile(r"[A-Za-z0-9_-]{1,64}(?:\[bot\])?")
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
class Account:
    """An account by its login.

    Attributes:
        id: the account's number, for ever.
        login: its present name, as GitHub spells it.
        kind: `User`, `Bot`, `Organization`.
    """

    id: int
    login: str
    kind: str


@dataclass(frozen=True)
class Gist:
    """A public gist of an account, without its contents.

    Attributes:
        owner: number of the account that published it.
        words: its description and the names of its files.
    """

    id: str
    owner: int
    words: str


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


class GitHub:
    """What this service reads of repositories."""

    def __init__(self, client: Connections, settings: Settings) -> None:
        self._api = GitHubApi(client, settings)
        self._refreshing: Flight[Contributors] = Flight()
        self._lists: OrderedDict[str, tuple[float, Contributors]] = OrderedDict()
        self._answers: OrderedDict[str, wire.Answer] = OrderedDict()

    @property
    def configured(self) -> bool:
        """Whether there is anything to authenticate with."""
        return self._api.configured

    async def metadata(self, repo: Repo) -> dict[str, Any]:
        """The repository's own record, as it is now.

        Raises:
            RailError: no such repository, or no access.
            RailUnknown: GitHub gave no usable answer.
        """
        return (await self.metadata_signed(repo))[0]

    async def metadata_signed(self, repo: Repo) -> tuple[dict[str, Any], Credential]:
        """The repository's own record, and whom GitHub answered."""
        found = await self._api.get_signed(repo, f"/repos/{repo.slug}")
        return _record(found.answer.expect(200).json()), found.by

    def forget(self, slug: str) -> None:
        """Ask anew about a repository: GitHub says that something of it has changed."""
        slug = slug.lower()
        self._api.forget(slug)
        self._lists.pop(slug, None)
        paths = [path for path in self._answers if path.lower().startswith(f"/repos/{slug}")]
        for path in paths:
            del self._answers[path]

    def forget_installation(self, number: int) -> None:
        """Ask anew about an installation of the App."""
        self._api.forget_installation(number)

    async def contributors(self, repo: Repo) -> Contributors:
        """Who contributed, read within the last `FRESH_SECONDS`; up to `PAGES_MAX` pages.

        Raises:
            RailError: no such repository, no access, or a history too large for GitHub.
            RailUnknown: GitHub gave no usable answer.
        """
        slug = repo.slug.lower()
        read_at, found = self._lists.get(slug, (0.0, None))
        if found is not None and time.monotonic() - read_at < FRESH_SECONDS:
            return found
        return await self._refreshing.share(slug, lambda: self._refresh(repo))

    async def account(self, login: str) -> Account | None:
        """Who has this login now, or None.

        Raises:
            RailError: GitHub refused.
            RailUnknown: GitHub gave no usable answer.
        """
        answer = (await self._api.get_public(f"/users/{login}")).expect(200, 404)
        return None if answer.status == 404 else _account(answer.json())

    async def gists(self, login: str) -> list[Gist]:
        """The newest public gists under a login; who published each is in the gist.

        Raises:
            RailError: GitHub refused, or nobody has that login.
            RailUnknown: GitHub gave no usable answer.
        """
        answer = await self._api.get_public(f"/users/{login}/gists?per_page={GISTS_READ}")
        return [_gist(item) for item in _items(answer.expect(200).json())]

    async def gist_text(self, gist: Gist) -> str:
        """The contents of a gist's files; of a very large file as much as GitHub shows.

        Raises:
            RailError: it is gone.
            RailUnknown: GitHub gave no usable answer.
        """
        found = (await self._api.get_public(f"/gists/{gist.id}")).expect(200).json()
        try:
            return "\n".join(str(file["content"]) for file in found["files"].values())
        except (AttributeError, KeyError, TypeError) as error:
            raise RailUnknown("github", "a gist without the contents of its files") from error

    async def _refresh(self, repo: Repo) -> Contributors:
        begun = time.monotonic()
        try:
            async with asyncio.timeout(ALL_PAGES_SECONDS):
                found = await self._contributors(repo)
        except TimeoutError as error:
            raise RailUnknown("github", f"timed out after {ALL_PAGES_SECONDS:g} s") from error
        self._lists[repo.slug.lower()] = (begun, found)
        _forget(self._lists, LISTS_KEPT_MAX)
        return found

    async def _contributors(self, repo: Repo) -> Contributors:
        record = _record((await self._get(repo, f"/repos/{repo.slug}")).expect(200).json())
        owner, _, name = str(record["full_name"]).partition("/")
        canonical = Repo(owner, name)
        items: list[dict[str, Any]] = []
        for page in range(1, PAGES_MAX + 1):
            path = f"/repos/{canonical.slug}/contributors?per_page={PER_PAGE}&page={page}&anon=1"
            answer = await self._get(canonical, path)
            if answer.expect(200, 204).status == 204:
                return sort_out(canonical, [], capped=False)
            items.extend(_items(answer.json()))
            if not _NEXT.search(answer.headers.get("link", "")):
                return sort_out(canonical, items, capped=False)
        return sort_out(canonical, items, capped=True)

    async def _get(self, repo: Repo, path: str) -> wire.Answer:
        """GET; the answer kept from last time if GitHub says that it is still the same."""
        kept = self._answers.get(path)
        if kept is None:
            answer = await self._api.get(repo, path)
        else:
            answer = await self._api.get(repo, path, {"if-none-match": kept.headers["etag"]})
            if answer.status == 304:
                self._answers.move_to_end(path)
                return kept
        if answer.status == 200 and answer.headers.get("etag"):
            self._answers[path] = answer
            _forget(self._answers, ANSWERS_KEPT_MAX)
        return answer


def _forget(kept: OrderedDict[str, Any], most: int) -> None:
    while len(kept) > most:
        kept.popitem(last=False)


def _record(found: Any) -> dict[str, Any]:
    if not isinstance(found, dict) or not _FULL_NAME.fullmatch(str(found.get("full_name"))):
        raise RailUnknown("github", "a repository without full_name")
    return found


def _items(found: Any) -> list[dict[str, Any]]:
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise RailUnknown("github", "an answer that is no list of records")
    return found


def _account(found: Any) -> Account:
    try:
        account = Account(int(found["id"]), str(found["login"]), str(found["type"]))
    except (KeyError, TypeError, ValueError) as error:
        raise RailUnknown("github", "an account without id, login or type") from error
    if account.id <= 0:
        raise RailUnknown("github", "an account whose id is no number")
    return account


def _gist(found: dict[str, Any]) -> Gist:
    try:
        words = [str(found.get("description") or ""), *found["files"]]
        gist = Gist(str(found["id"]), _account(found["owner"]).id, "\n".join(words))
    except (KeyError, TypeError) as error:
        raise RailUnknown("github", "a gist without id, owner or files") from error
    if not _GIST_ID.fullmatch(gist.id):
        raise RailUnknown("github", "a gist whose id is none")
    return gist


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
    if not isinstance(number, int) or not isinstance(commits, int) or commits < 1:
        raise RailUnknown("github", "a contributor without id or count")
    if not _LOGIN.fullmatch(str(login)):
        raise RailUnknown("github", "a contributor whose login is none")
    return Contributor(number, str(login), commits)


def is_system_login(login: str) -> bool:
    """Whether a login is a program's by its look (contract §7)."""
    return "[bot]" in login.lower() or login.lower().endswith("-bot")
