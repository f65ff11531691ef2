"""GitHub's REST API as far as an App needs it (rails §1)."""

import hashlib
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import jwt

from sandbox import people
from sandbox.faults import Call
from sandbox.people import Contributor, Repository
from sandbox.rails.gists import Gists, show_account
from sandbox.web import Answer, Request, json_answer

TOKEN_SECONDS: Final = 3600
_JWT_SECONDS_MAX: Final = 600
_SKEW_SECONDS: Final = 60
_WINDOW_SECONDS: Final = 3600
_DOCS: Final = "https://docs.github.com/rest"


class RefusedError(Exception):
    """The request is refused with a status and GitHub's error shape."""

    def __init__(self, status: int, message: str) -> None:
        self.status, self.message = status, message
        super().__init__(message)


@dataclass(slots=True)
class Quota:
    """One caller's budget of calls an hour."""

    limit: int
    used: int = 0
    reset: int = 0

    def headers(self) -> dict[str, str]:
        """Return the rate-limit headers."""
        return {
            "x-ratelimit-limit": str(self.limit),
            "x-ratelimit-remaining": str(max(0, self.limit - self.used)),
            "x-ratelimit-used": str(self.used),
            "x-ratelimit-reset": str(self.reset),
            "x-ratelimit-resource": "core",
        }

    def take(self, now: float) -> None:
        """Count one call; raises RefusedError when the budget is spent."""
        if now >= self.reset:
            self.used, self.reset = 0, int(now) + _WINDOW_SECONDS
        if self.used >= self.limit:
            raise RefusedError(403, "API rate limit exceeded for this caller.")
        self.used += 1


@dataclass(slots=True)
class GitHub:
    """The stand-in: one App with its public key, one personal token.

    `calls_per_hour` defaults far above GitHub's 5,000, because a demo squeezes days into minutes.
    """

    app_id: str
    app_public_pem: bytes
    personal_token: str
    calls_per_hour: int = 1_000_000
    anonymous_calls_per_hour: int = 60
    name: str = "github"
    gists: Gists = field(default_factory=Gists)
    _tokens: dict[str, tuple[int, float]] = field(default_factory=dict)
    _quotas: dict[str, Quota] = field(default_factory=dict)

    def identify(self, request: Request) -> Call:
        """Name the call by its last fixed path element: `repo`, `contributors`, ..."""
        parts = request.path.strip("/").split("/")
        match parts:
            case ["repos", _, _]:
                operation = "repo"
            case ["repos", _, _, tail]:
                operation = tail
            case ["users", _]:
                operation = "user"
            case ["users", _, tail]:
                operation = tail
            case ["gists", _]:
                operation = "gist"
            case ["app", "installations", _, "access_tokens"]:
                operation = "access_tokens"
            case _:
                operation = parts[0] or "root"
        credential = request.bearer("bearer", "token")
        marks = {} if credential is None else {"api_key": credential}
        return Call(self.name, operation, marks)

    async def answer(self, request: Request, call: Call, wrong: str | None) -> Answer:
        """Answer one request."""
        del call
        quota: Quota | None = None
        try:
            _refuse_on_purpose(wrong)
            _check_agent(request)
            if _wants_app(request):
                self._check_jwt(request)
                return self._answer_app(request)
            quota = self._quota(request)
            quota.take(time.time())
            if request.path.startswith(("/users/", "/gists")):
                answer = self._answer_people(request, quota)
            else:
                answer = self._answer_repo(request, quota)
        except RefusedError as error:
            shown = {
                "message": error.message,
                "documentation_url": _DOCS,
                "status": str(error.status),
            }
            return json_answer(shown, error.status, quota.headers() if quota else None)
        return answer

    def _check_jwt(self, request: Request) -> None:
        token = request.bearer("bearer") or ""
        try:
            claims = jwt.decode(
                token,
                self.app_public_pem,
                algorithms=["RS256"],
                leeway=_SKEW_SECONDS,
                options={"require": ["iat", "exp", "iss"]},
            )
        except jwt.InvalidTokenError as error:
            raise RefusedError(401, "A JSON web token could not be decoded") from error
        if str(claims["iss"]) != self.app_id:
            raise RefusedError(404, "Integration not found")
        if claims["exp"] > time.time() + _JWT_SECONDS_MAX + _SKEW_SECONDS:
            raise RefusedError(401, "'Expiration time' claim ('exp') is too far in the future")

    def _answer_app(self, request: Request) -> Answer:
        match request.path.strip("/").split("/"):
            case ["app"] if request.method == "GET":
                return json_answer({"id": int(self.app_id), "slug": "gitsplits-sandbox"})
            case ["repos", owner, name, "installation"] if request.method == "GET":
                repository = _find(owner, name)
                if not repository.app_installed:
                    raise RefusedError(404, "Not Found")
                return json_answer(self._installation(owner))
            case ["app", "installations", number, "access_tokens"] if request.method == "POST":
                if not number.isdigit():
                    raise RefusedError(404, "Not Found")
                return self._issue(int(number))
            case _:
                raise RefusedError(404, "Not Found")

    def _installation(self, owner: str) -> dict[str, Any]:
        account = {"login": owner, "id": people.number_of(owner), "type": "Organization"}
        return {
            "id": people.number_of("installation:" + owner.lower()),
            "app_id": int(self.app_id),
            "account": account,
            "repository_selection": "all",
            "permissions": {"metadata": "read", "contents": "read"},
        }

    def _issue(self, installation: int) -> Answer:
        token = "ghs_" + secrets.token_hex(18)
        now = time.time()
        self._tokens = {t: v for t, v in self._tokens.items() if v[1] > now}
        self._tokens[token] = (installation, now + TOKEN_SECONDS)
        expires = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now + TOKEN_SECONDS))
        shown = {
            "token": token,
            "expires_at": expires,
            "permissions": {"metadata": "read", "contents": "read"},
            "repository_selection": "all",
        }
        return json_answer(shown, 201)

    def _quota(self, request: Request) -> Quota:
        if "authorization" not in request.headers:
            return self._quotas.setdefault("", Quota(self.anonymous_calls_per_hour))
        token = request.bearer("bearer", "token") or ""
        if secrets.compare_digest(token.encode(), self.personal_token.encode()):
            return self._quotas.setdefault("personal", Quota(self.calls_per_hour))
        if people.who_has(token) is not None:
            return self._quotas.setdefault(token, Quota(self.calls_per_hour))
        installation, expires = self._tokens.get(token, (0, 0.0))
        if expires <= time.time():
            raise RefusedError(401, "Bad credentials")
        return self._quotas.setdefault(f"installation:{installation}", Quota(self.calls_per_hour))

    def _answer_repo(self, request: Request, quota: Quota) -> Answer:
        if request.method != "GET":
            raise RefusedError(404, "Not Found")
        match request.path.strip("/").split("/"):
            case ["repos", owner, name]:
                moved = people.RENAMED.get(f"{owner}/{name}".lower())
                if moved is not None:
                    return self._moved(request, moved)
                return _conditional(request, _show_repo(_find(owner, name)), quota, {})
            case ["repositories", number]:
                found = [r for r in people.REPOSITORIES.values() if str(r.id) == number]
                if not found:
                    raise RefusedError(404, "Not Found")
                return _conditional(request, _show_repo(found[0]), quota, {})
            case ["repos", owner, name, "contributors"]:
                return _contributors(request, _find(owner, name), quota)
            case ["rate_limit"]:
                return json_answer({"resources": {"core": {"limit": quota.limit}}})
            case _:
                raise RefusedError(404, "Not Found")

    def _answer_people(self, request: Request, quota: Quota) -> Answer:
        match request.method, request.path.strip("/").split("/"):
            case "GET", ["users", login]:
                return _conditional(request, show_account(_account(login)), quota, {})
            case "GET", ["users", login, "gists"]:
                size, page = _number(request, "per_page", 30, 100), _number(request, "page", 1, 100)
                found = self.gists.of(_account(login))[(page - 1) * size : page * size]
                return _conditional(request, found, quota, {})
            case "GET", ["gists", number]:
                gist = self.gists.whole(number)
                if gist is None:
                    raise RefusedError(404, "Not Found")
                return _conditional(request, gist, quota, {})
            case "POST", ["gists"]:
                return self._publish(request)
            case _:
                raise RefusedError(404, "Not Found")

    def _publish(self, request: Request) -> Answer:
        """Take a gist from the person whose token the request carries."""
        author = people.who_has(request.bearer("bearer", "token") or "")
        if author is None:
            raise RefusedError(401, "Requires authentication")
        try:
            return json_answer(self.gists.publish(author, request.json_object()), 201)
        except ValueError as error:
            raise RefusedError(422, f"Validation Failed: {error}") from error

    @staticmethod
    def _moved(request: Request, full_name: str) -> Answer:
        target = people.REPOSITORIES[full_name]
        url = f"http://{request.headers.get('host', '')}/repositories/{target.id}"
        shown = {"message": "Moved Permanently", "url": url, "documentation_url": _DOCS}
        return json_answer(shown, 301, {"location": url})


def _refuse_on_purpose(wrong: str | None) -> None:
    match wrong:
        case "not_found":
            raise RefusedError(404, "Not Found")
        case "bad_credentials":
            raise RefusedError(401, "Bad credentials")
        case "rate_limited":
            raise RefusedError(403, "API rate limit exceeded for this caller.")
        case _:
            return


def _check_agent(request: Request) -> None:
    if "user-agent" not in request.headers:
        raise RefusedError(403, "Request forbidden by administrative rules.")


def _wants_app(request: Request) -> bool:
    return request.path.startswith("/app") or request.path.endswith("/installation")


def _account(login: str) -> Contributor:
    account = people.account(login)
    if account is None:
        raise RefusedError(404, "Not Found")
    return account


def _find(owner: str, name: str) -> Repository:
    repository = people.find(f"{owner}/{name}")
    if repository is None:
        raise RefusedError(404, "Not Found")
    return repository


def _show_repo(repository: Repository) -> dict[str, Any]:
    owner, _, name = repository.full_name.partition("/")
    return {
        "id": repository.id,
        "name": name,
        "full_name": repository.full_name,
        "owner": {"login": owner, "id": people.number_of(owner), "type": "Organization"},
        "private": False,
        "archived": False,
        "default_branch": "main",
    }


def _show_contributor(row: Contributor) -> dict[str, Any]:
    if row.id is None:
        email = f"{row.login.lower()}@example.org"
        return {
            "type": row.kind,
            "name": row.login,
            "email": email,
            "contributions": row.contributions,
        }
    return {
        "login": row.login,
        "id": row.id,
        "node_id": f"U_{row.id}",
        "type": row.kind,
        "contributions": row.contributions,
    }


def _number(request: Request, name: str, default: int, most: int) -> int:
    text = request.query.get(name, "")
    return min(int(text), most) if text.isdigit() and int(text) > 0 else default


def _contributors(request: Request, repository: Repository, quota: Quota) -> Answer:
    if repository.too_large:
        raise RefusedError(
            403, "The history or contributor list is too large to list contributors via the API."
        )
    rows = [
        row
        for row in repository.contributors
        if row.id is not None or request.query.get("anon") in {"1", "true"}
    ]
    if not rows:
        return Answer(204, b"", quota.headers())
    size, page = _number(request, "per_page", 30, 100), _number(request, "page", 1, 10_000)
    part = rows[(page - 1) * size : page * size]
    last = -(-len(rows) // size)
    link = _link(request, size, page, last)
    shown = [_show_contributor(row) for row in part]
    return _conditional(request, shown, quota, {"link": link} if link else {})


def _link(request: Request, size: int, page: int, last: int) -> str:
    base = f"http://{request.headers.get('host', '')}{request.path}?per_page={size}"
    if request.query.get("anon"):
        base += f"&anon={request.query['anon']}"
    links = []
    if page > 1:
        links.append(f'<{base}&page={page - 1}>; rel="prev"')
    if page < last:
        links.append(f'<{base}&page={page + 1}>; rel="next"')
        links.append(f'<{base}&page={last}>; rel="last"')
    return ", ".join(links)


def _conditional(
    request: Request, value: object, quota: Quota, headers: Mapping[str, str]
) -> Answer:
    """Answer with an ETag; 304, not charged, when the caller already has this."""
    answer = json_answer(value)
    etag = f'W/"{hashlib.sha256(answer.body).hexdigest()}"'
    if request.headers.get("if-none-match") == etag:
        quota.used -= 1
        return Answer(304, b"", {"etag": etag, **quota.headers()})
    every = {**answer.headers, "etag": etag, **headers, **quota.headers()}
    return Answer(200, answer.body, every)
