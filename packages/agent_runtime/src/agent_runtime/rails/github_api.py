"""GitHub's REST API with authentication (rails §1): credentials are made once and shared.

The App's token is used wherever the App is installed. The personal token serves only where GitHub
says that the App is *not* installed; an App whose credentials fail is an error, never a fallback.
Who authenticated a call is told with its answer. A limit is kept to by all calls of a credential.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from jwt.algorithms import RSAAlgorithm

from agent_runtime import wire
from agent_runtime.connections import Connections
from agent_runtime.errors import RailError, RailUnknown
from agent_runtime.flight import Flight
from agent_runtime.grammar import Repo
from agent_runtime.rails.pause import Pauses
from agent_runtime.settings import Settings

CALL_SECONDS = 5.0
REDIRECTS_MAX = 3
TOKEN_LEFT_SECONDS = 300.0
INSTALLATION_SECONDS = 600.0
JWT_SECONDS = 300.0
KNOWN_MAX = 1_000


@dataclass(frozen=True)
class _Token:
    """An installation's token; `expires` in epoch seconds."""

    value: str
    expires: float


@dataclass(frozen=True)
class Credential:
    """Whom a call is made as.

    Attributes:
        who: `app` (its JWT), `installation <id>`, `personal token` or `nobody`; limits go by it.
        token: of an installation or a person; empty for the others.
        header: what `Authorization` says; empty for none.
    """

    who: str
    token: str = field(default="", repr=False)
    header: str = field(default="", repr=False)

    @property
    def of_app(self) -> bool:
        """Whether it is the App that acts."""
        return self.who.startswith("installation ")


NOBODY = Credential("nobody")


@dataclass(frozen=True)
class Signed:
    """An answer, and whom the call was made as."""

    answer: wire.Answer
    by: Credential


class GitHubApi:
    """GitHub as one App, one personal token, or neither.

    Raises:
        ValueError: the App's key is none.
    """

    def __init__(self, client: Connections, settings: Settings) -> None:
        self._client = client
        self._settings = settings
        self._key = app_key(settings.github_private_key) if settings.github_app_id else None
        self._installations: dict[str, tuple[int, float]] = {}
        self._tokens: dict[int, _Token] = {}
        self._jwt: tuple[str, float] = ("", 0.0)
        self._lookups: Flight[int] = Flight()
        self._makings: Flight[_Token] = Flight()
        self._pauses = Pauses("github")

    @property
    def configured(self) -> bool:
        """Whether there is anything to authenticate with."""
        return bool(self._settings.github_app_id or self._settings.github_token)

    async def get(
        self,
        repo: Repo,
        path: str,
        headers: Mapping[str, str] | None = None,
    ) -> wire.Answer:
        """GET with authentication; one new token on 401; follows GitHub's own renames only.

        Raises:
            RailError: the App is not installed there, or its credentials fail.
            RailUnknown: GitHub gave no usable answer, or is not to be asked for a while.
        """
        return (await self.get_signed(repo, path, headers)).answer

    async def get_signed(
        self, repo: Repo, path: str, headers: Mapping[str, str] | None = None
    ) -> Signed:
        """As `get`, telling who authenticated the call that was answered."""
        by = await self._credential(repo)
        answer = await self._follow(path, by, headers)
        if answer.status == 401 and self._drop(repo, by):
            by = await self._credential(repo)
            answer = await self._follow(path, by, headers)
        return Signed(answer, by)

    async def get_public(self, path: str) -> wire.Answer:
        """GET what everybody may read, under whatever token there is, for its larger budget.

        Raises:
            RailUnknown: GitHub gave no usable answer.
        """
        return await self._follow(path, self._any())

    def forget(self, slug: str) -> None:
        """Forget which installation covers a repository, and its token: that has changed."""
        number, _ = self._installations.pop(slug.lower(), (0, 0.0))
        self._tokens.pop(number, None)

    def forget_installation(self, number: int) -> None:
        """Forget an installation: what it covers has changed, or it is gone."""
        self._tokens.pop(number, None)
        for slug in [slug for slug, one in self._installations.items() if one[0] == number]:
            del self._installations[slug]

    def _any(self) -> Credential:
        if self._settings.github_token:
            return _personal(self._settings.github_token)
        now = time.time()
        live = (item for item in self._tokens.items() if item[1].expires > now)
        return next((_installation(number, token.value) for number, token in live), NOBODY)

    async def _follow(
        self,
        path: str,
        by: Credential,
        headers: Mapping[str, str] | None = None,
    ) -> wire.Answer:
        url = self._settings.github_base + path
        for _ in range(REDIRECTS_MAX):
            answer = await self._ask("GET", url, by, headers)
            if answer.status not in {301, 302, 307, 308}:
                return answer
            url = answer.headers.get("location", "")
            if not url.startswith(self._settings.github_base + "/"):
                raise RailError("github", "a redirect that leaves the API")
        raise RailError("github", "too many redirects")

    async def _credential(self, repo: Repo) -> Credential:
        """The App's for this repository, else the personal one; nobody's without either."""
        settings = self._settings
        if not settings.github_app_id:
            return _personal(settings.github_token) if settings.github_token else NOBODY
        number = await self._installation(repo)
        if number:
            return _installation(number, await self._token_of(number))
        if not settings.github_token:
            raise RailError("github", f"the App is not installed on {repo.slug}")
        return _personal(settings.github_token)

    async def _installation(self, repo: Repo) -> int:
        """The installation that covers a repository; 0 where the App is not installed."""
        slug = repo.slug.lower()
        number, until = self._installations.get(slug, (0, 0.0))
        if time.monotonic() < until:
            return number
        return await self._lookups.share(slug, lambda: self._look_up(slug))

    async def _look_up(self, slug: str) -> int:
        found = await self._follow(f"/repos/{slug}/installation", self._app())
        if found.status == 404:
            return 0
        record = found.expect(200).json()
        number = record.get("id") if isinstance(record, dict) else None
        if not isinstance(number, int) or number <= 0:
            raise RailUnknown("github", "an installation without an id")
        if len(self._installations) >= KNOWN_MAX:
            self._installations.clear()
        self._installations[slug] = (number, time.monotonic() + INSTALLATION_SECONDS)
        return number

    async def _token_of(self, installation: int) -> str:
        token = self._tokens.get(installation)
        if token is None or token.expires - time.time() < TOKEN_LEFT_SECONDS:
            name = str(installation)
            token = await self._makings.share(name, lambda: self._make_token(installation))
        return token.value

    async def _make_token(self, installation: int) -> _Token:
        url = f"{self._settings.github_base}/app/installations/{installation}/access_tokens"
        made = (await self._ask("POST", url, self._app())).expect(201).json()
        try:
            expires = datetime.fromisoformat(made["expires_at"]).timestamp()
            token = _Token(str(made["token"]), expires)
        except (KeyError, TypeError, ValueError) as error:
            raise RailUnknown("github", "an access token without token or expiry") from error
        if len(self._tokens) >= KNOWN_MAX:
            self._tokens.clear()
        self._tokens[installation] = token
        return token

    def _drop(self, repo: Repo, refused: Credential) -> bool:
        """Forget a refused token of the App; False if it was not the App's."""
        if not refused.of_app:
            return False
        slug = repo.slug.lower()
        number, _ = self._installations.get(slug, (0, 0.0))
        token = self._tokens.get(number)
        if (
            token is not None and token.value == refused.token
        ):  # else somebody has replaced it already
            del self._tokens[number], self._installations[slug]
        return True

    def _app(self) -> Credential:
        """The App itself, by a JWT; one serves for five of its nine minutes."""
        bearer, until = self._jwt
        if time.monotonic() >= until:
            now = int(time.time())
            claims = {"iat": now - 60, "exp": now + 540, "iss": self._settings.github_app_id}
            if self._key is None:
                raise RailError("github", "not configured as an App")
            bearer = f"Bearer {jwt.encode(claims, self._key, algorithm='RS256')}"
            self._jwt = (bearer, time.monotonic() + JWT_SECONDS)
        return Credential("app", header=bearer)

    async def _ask(
        self,
        method: str,
        url: str,
        by: Credential,
        headers: Mapping[str, str] | None = None,
    ) -> wire.Answer:
        """Ask within `CALL_SECONDS`, pauses included; a limited call is made again after one."""
        sent = {
            "accept": "application/vnd.github+json",
            "user-agent": "agent-runtime",
            "x-github-api-version": "2022-11-28",
            **(headers or {}),
        }
        if by.header:
            sent["authorization"] = by.header
        deadline = time.monotonic() + CALL_SECONDS
        while True:
            await self._pauses.sit_out(by.who, deadline)
            answer = await wire.ask(
                self._client,
                "github",
                method,
                url,
                deadline_seconds=max(0.0, deadline - time.monotonic()),
                headers=sent,
            )
            if not self._pauses.heed(by.who, answer):
                return answer


def app_key(pem: str) -> RSAPrivateKey:
    """Read the App's key; once, because checking it takes longer than a hundred requests.

    Raises:
        ValueError: it is no RSA private key.
    """
    try:
        key = RSAAlgorithm(RSAAlgorithm.SHA256).prepare_key(pem)
    except jwt.InvalidKeyError as error:
        raise ValueError("not an RSA private key that can be read") from error
    if not isinstance(key, RSAPrivateKey):
        raise ValueError("a public key; expected the private one")  # noqa: TRY004 - a bad setting
    return key


def _installation(number: int, token: str) -> Credential:
    return Credential(f"installation {number}", token, f"token {token}")


def _personal(token: str) -> Credential:
    return Credential("personal token", token, f"token {token}")
