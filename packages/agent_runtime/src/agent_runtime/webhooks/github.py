"""`POST /webhook/github`: what changed there, so that no old answer is repeated (rails §1).

GitHub signs the body alone, no time and no header: a delivery is known again by its body as well as
by its GUID, so that a new GUID does not make an old body new.
"""

import hashlib
import hmac
import re
from collections.abc import Iterator
from typing import Any

from agent_runtime.errors import ApiError
from agent_runtime.log import logger
from agent_runtime.rails.github import GitHub
from agent_runtime.webhooks.deliveries import Deliveries
from agent_runtime.webhooks.proof import read_record, require_signature

PREFIX = "sha256="
_GUID = re.compile(r"[A-Za-z0-9-]{1,64}")
_EVENT = re.compile(r"[a-z_]{1,64}")
OF_REPOSITORIES = frozenset({"push", "repository"})
OF_INSTALLATIONS = frozenset({"installation", "installation_repositories"})


class GitHubWebhook:
    """Takes deliveries; each is heeded once."""

    def __init__(self, deliveries: Deliveries, secrets: tuple[str, ...], github: GitHub) -> None:
        self._deliveries = deliveries
        self._secrets = secrets
        self._github = github

    def take(self, signature: str, event: str, guid: str, body: bytes) -> bool:
        """Accept one delivery; False if it was taken before.

        Raises:
            ApiError: 503 without a secret, 401 for a wrong signature, 400 for a signed body that
                is no JSON object, or without its headers.
        """
        require_signature(self._secrets, signature, lambda secret: _sign(secret, body), PREFIX)
        found = read_record(body)
        if not (_GUID.fullmatch(guid) and _EVENT.fullmatch(event)):
            raise ApiError(400, "invalid_request", "X-GitHub-Event and X-GitHub-Delivery are due")
        digest = hashlib.sha256(body).hexdigest()
        names = (f"github:{guid.lower()}", f"github:sha256:{digest}")
        if not self._deliveries.is_first(f"github:{event}", *names):
            logger().info("github_webhook_repeated", delivery=guid, type=event)
            return False
        self._heed(event, found)
        logger().info("github_webhook", delivery=guid, type=event)
        return True

    def _heed(self, event: str, found: dict[str, Any]) -> None:
        if event in OF_REPOSITORIES:
            for slug in _slugs(found):
                self._github.forget(slug)
        elif event in OF_INSTALLATIONS:
            number = _member(found, "installation").get("id")
            if isinstance(number, int):
                self._github.forget_installation(number)


def _sign(secret: bytes, body: bytes) -> str:
    return hmac.new(secret, body, hashlib.sha256).hexdigest()


def _slugs(found: dict[str, Any]) -> Iterator[str]:
    """The repository by its name, and by the one that it had before a renaming."""
    slug = _member(found, "repository").get("full_name")
    if not isinstance(slug, str) or "/" not in slug:
        return
    yield slug
    changes = _member(_member(_member(found, "changes"), "repository"), "name")
    if isinstance(changes.get("from"), str):
        yield f"{slug.partition('/')[0]}/{changes['from']}"


def _member(found: dict[str, Any], name: str) -> dict[str, Any]:
    inner = found.get(name)
    return inner if isinstance(inner, dict) else {}
