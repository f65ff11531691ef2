"""All webhooks of one plane."""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass

from agent_runtime.payouts.nudges import Nudges
from agent_runtime.rails.github import GitHub
from agent_runtime.rails.neynar import Neynar
from agent_runtime.receipts.desk import Answers
from agent_runtime.requests import Reply
from agent_runtime.settings import Settings
from agent_runtime.webhooks.castbook import CastBook
from agent_runtime.webhooks.casts import CastDesk
from agent_runtime.webhooks.deliveries import Deliveries
from agent_runtime.webhooks.github import GitHubWebhook
from agent_runtime.webhooks.ping import PingWebhook


@dataclass(frozen=True)
class Hooks:
    """Who takes which delivery."""

    ping: PingWebhook
    github: GitHubWebhook
    casts: CastDesk


def make_hooks(
    settings: Settings,
    db: sqlite3.Connection,
    rails: tuple[GitHub, Neynar, Nudges],
    desk: Answers,
    note: Callable[[Reply], None],
) -> Hooks:
    """Put them together."""
    github, neynar, nudges = rails
    deliveries = Deliveries(db)
    return Hooks(
        PingWebhook(deliveries, settings.ping_secrets, nudges),
        GitHubWebhook(deliveries, settings.github_hook_secrets, github),
        CastDesk(settings, CastBook(db), desk, neynar, note),
    )
