"""Answers "who are you" with a quote made for the question (attestation §15).

Every answer has a quote of its own: the caller's nonce is in the statement, the statement's digest
in the quote, so that no answer serves twice. What the agent gives is passed on to the letter, also
if it should be nonsense: whoever asked will judge it, and a plane that hid bad evidence would only
look as if it were silent.
"""

import ssl
from datetime import UTC, datetime

from agent_runtime import wire
from agent_runtime.attestation.channel import Channel
from agent_runtime.attestation.identity import Identity, wait_for_identity
from agent_runtime.attestation.statement import (
    PURPOSE,
    VERSION,
    canonical_json,
    key_set_digest,
    report_data,
)
from agent_runtime.attestation.turnstile import Turnstile
from agent_runtime.dstack import SERVICE, GuestAgent, Info
from agent_runtime.errors import RailUnknown, StartError
from agent_runtime.settings import Settings

ANSWER_MAX_BYTES = 256 * 1024
"""More than that no verifier reads."""


class Attestor:
    """Speaks for this instance, once `open` has fetched its keys."""

    def __init__(self, settings: Settings, agent: GuestAgent) -> None:
        self._settings = settings
        self._agent = agent
        self._turnstile = Turnstile()
        self._held: tuple[Identity, Channel] | None = None

    async def open(self) -> ssl.SSLContext:
        """Fetch this instance's keys, waiting for the guest agent; TLS to serve with.

        Raises:
            StartError: there are none; serving anything would be a lie.
        """
        settings = self._settings
        identity = await wait_for_identity(self._agent, settings.wallet_purposes)
        try:
            channel = Channel(identity.tls, settings.plane_id, settings.tls_names, _now)
        except (OSError, AttributeError) as error:  # no memory files, or no /proc to name them by
            raise StartError(f"the TLS key cannot be kept off the disk here: {error}") from error
        self._held = identity, channel
        return channel.context

    @property
    def spki(self) -> str:
        """SHA-256 of the TLS key, hex."""
        return self._keys()[1].spki

    async def answer(self, nonce: str) -> bytes:
        """The evidence for one question, as JSON.

        Args:
            nonce: the caller's, 64 lower-case hex digits.

        Raises:
            Crowded: too many ask.
            RailError: the guest agent gave no quote, so nothing is known.
        """
        identity, channel = self._keys()
        async with self._turnstile.turn():
            info = await self._agent.info()
            statement = self._statement(nonce, info)
            found = await self._agent.quote(report_data(statement))
        channel.renew_if_due()
        answer = wire.encode(
            {
                "v": VERSION,
                "statement": statement.decode(),
                "quote": found.quote.hex(),
                "event_log": found.event_log,
                "vm_config": found.vm_config,
                "app_compose": info.app_compose,
                "keys": {
                    "tls_spki_sha256": channel.spki,
                    "wallets": [wallet.shown(statement) for wallet in identity.wallets],
                },
            }
        )
        if len(answer) > ANSWER_MAX_BYTES:
            raise RailUnknown(SERVICE, f"evidence of {len(answer)} bytes, more than anybody reads")
        return answer

    def _statement(self, nonce: str, info: Info) -> bytes:
        identity, channel = self._keys()
        settings = self._settings
        return canonical_json(
            {
                "app": info.app_id,
                "expires": int(_now().timestamp()) + settings.evidence_seconds,
                "instance": info.instance_id,
                "keys": key_set_digest(channel.spki, [one.public for one in identity.wallets]),
                "nonce": nonce,
                "plane": settings.plane_id,
                "purpose": PURPOSE,
                "release": settings.build,
                "tls_spki": channel.spki,
            }
        )

    def _keys(self) -> tuple[Identity, Channel]:
        assert self._held is not None  # noqa: S101 - nothing is served before `open`
        return self._held


def _now() -> datetime:
    return datetime.now(UTC)
