"""The keys of this instance, fetched once, before anything is served.

A plane that was told to speak attested TLS speaks that or nothing: while the guest agent does not
answer it waits, and after that it ends. There is no plain HTTP to fall back to.
"""

import asyncio
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric import ec

from agent_runtime.attestation.channel import derive_key
from agent_runtime.attestation.wallet import WalletKey
from agent_runtime.dstack import SERVICE, GuestAgent
from agent_runtime.errors import RailError, RailUnknown, StartError
from agent_runtime.log import logger

START_SECONDS = 30.0
RETRY_SECONDS = 1.0
TLS_PATH = "agent/tls/"
TLS_PURPOSE = "tls"
WALLET_PATH = "agent/wallet/"


@dataclass(frozen=True, slots=True)
class Identity:
    """What only this instance of this app has."""

    tls: ec.EllipticCurvePrivateKey = field(repr=False)
    wallets: tuple[WalletKey, ...]


async def wait_for_identity(agent: GuestAgent, purposes: tuple[str, ...]) -> Identity:
    """Fetch the keys, trying again for half a minute; a refusal may end as well as silence.

    Raises:
        StartError: the agent gave none in that time, or this app has no instances.
    """
    said = "no answer"
    try:
        async with asyncio.timeout(START_SECONDS):
            while True:
                try:
                    return await _fetch(agent, purposes)
                except RailError as error:
                    said = error.said
                    logger().warning("guest_agent_awaited", endpoint=agent.endpoint, said=said)
                await asyncio.sleep(RETRY_SECONDS)
    except TimeoutError:
        raise StartError(
            f"AGENT_TLS is attested, but the guest agent at {agent.endpoint} gave no keys within"
            f" {START_SECONDS:g} s (last: {said}); mount its socket here, or set AGENT_TLS=off"
        ) from None


async def _fetch(agent: GuestAgent, purposes: tuple[str, ...]) -> Identity:
    info = await agent.info()
    if not info.instance_id:
        raise StartError(
            "AGENT_TLS is attested, but this app has no instance ids: every replica would have the"
            " same TLS key; set no_instance_id to false in the app-compose file"
        )
    tls = await agent.key(TLS_PATH + info.instance_id, TLS_PURPOSE)
    wallets = [await _wallet(agent, purpose) for purpose in purposes]
    return Identity(derive_key(tls.secret, info.instance_id), tuple(wallets))


async def _wallet(agent: GuestAgent, purpose: str) -> WalletKey:
    found = await agent.key(WALLET_PATH + purpose, purpose)
    try:
        return WalletKey.of(purpose, found)
    except ValueError:
        raise RailUnknown(SERVICE, "GetKey gave a number that is no secp256k1 key") from None
