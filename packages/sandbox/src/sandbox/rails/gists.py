"""GitHub's users and gists, as far as a proof of an account needs them (contract §11.11)."""

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sandbox.people import Contributor

GISTS_MAX: Final = 10_000
FILES_MAX: Final = 10
_FILE_CHARS_MAX: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Gist:
    """One published gist."""

    id: str
    owner: Contributor
    description: str
    files: Mapping[str, str]
    public: bool
    created_at: str


@dataclass(slots=True)
class Gists:
    """Every gist that was published; secret ones are found by their id alone."""

    _known: dict[str, Gist] = field(default_factory=dict)

    def publish(self, owner: Contributor, body: Mapping[str, Any]) -> dict[str, Any]:
        """Take a new gist as `POST /gists` describes it; raises ValueError."""
        if len(self._known) >= GISTS_MAX:
            raise ValueError(f"at most {GISTS_MAX} gists")
        files = _files(body.get("files"))
        description = body.get("description", "")
        if not isinstance(description, str):
            raise ValueError("description is no string")  # noqa: TRY004 - a bad body, not a bug
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        public = body.get("public") is True
        gist = Gist(secrets.token_hex(16), owner, description, files, public, now)
        self._known[gist.id] = gist
        return _show(gist, whole=True)

    def of(self, owner: Contributor) -> list[dict[str, Any]]:
        """Return the public gists of an account, newest first, without their contents."""
        mine = [gist for gist in self._known.values() if gist.owner.id == owner.id and gist.public]
        return [_show(gist, whole=False) for gist in reversed(mine)]

    def whole(self, gist_id: str) -> dict[str, Any] | None:
        """Return one gist with its contents, or None."""
        gist = self._known.get(gist_id)
        return None if gist is None else _show(gist, whole=True)


def show_account(account: Contributor) -> dict[str, Any]:
    """Return an account as GitHub shows it."""
    return {
        "login": account.login,
        "id": account.id,
        "node_id": f"U_{account.id}",
        "type": account.kind,
    }


def _files(given: object) -> dict[str, str]:
    if not isinstance(given, Mapping) or not 1 <= len(given) <= FILES_MAX:
        raise ValueError(f"files: an object of 1 to {FILES_MAX} files")
    found = {}
    for name, file in given.items():
        content = file.get("content") if isinstance(file, Mapping) else None
        if not isinstance(content, str) or not 0 < len(content) <= _FILE_CHARS_MAX:
            raise ValueError(f"files: {name} has no content, or too much")
        found[str(name)] = content
    return found


def _show(gist: Gist, *, whole: bool) -> dict[str, Any]:
    files: dict[str, dict[str, Any]] = {
        name: {"filename": name, "type": "text/plain", "size": len(content.encode())}
        for name, content in gist.files.items()
    }
    if whole:
        for name, content in gist.files.items():
            files[name].update({"truncated": False, "content": content})
    return {
        "id": gist.id,
        "description": gist.description,
        "public": gist.public,
        "owner": show_account(gist.owner),
        "files": files,
        "created_at": gist.created_at,
        "updated_at": gist.created_at,
    }
