"""Fresh credentials for one world, as the environment variables a runtime reads (contract §8)."""

import secrets
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from sandbox.ethereum import Account, LocalAccount
from sandbox.near import genesis
from sandbox.near.keys import KeyPair

PLANES: Final = ("hetzner", "phala")
NETWORK: Final = "mainnet"
APP_ID: Final = "424242"
BOT_FID: Final = 777_000


@dataclass(frozen=True, repr=False)
class Credentials:
    """Every secret of one world; made anew at each start."""

    app_pem: str
    app_public_pem: bytes
    github_token: str
    near: genesis.Keys
    ping_key: str
    ping_webhook_secret: str
    hot_jwt: str
    wallet: LocalAccount
    operator: LocalAccount
    control_token: str
    github_webhook_secret: str
    farcaster_webhook_secret: str
    neynar_key: str
    neynar_signer: str

    @classmethod
    def generate(cls) -> "Credentials":
        """Return fresh credentials."""
        private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        pem = private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
        public = private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        planes = {plane: KeyPair.from_seed(secrets.token_bytes(32)) for plane in PLANES}
        payers = (KeyPair.from_seed(secrets.token_bytes(32)) for _ in range(2))
        near = genesis.Keys(planes, *payers)
        claims = {"sub": "merchant", "jti": secrets.token_hex(8)}
        return cls(
            app_pem=pem.decode(),
            app_public_pem=public,
            github_token="ghp_" + secrets.token_hex(18),
            near=near,
            ping_key="pk_test_" + secrets.token_hex(16),
            ping_webhook_secret=secrets.token_hex(32),
            hot_jwt=jwt.encode(claims, secrets.token_hex(32), algorithm="HS256"),
            wallet=Account.create(),
            operator=Account.create(),
            control_token=secrets.token_hex(32),
            github_webhook_secret=secrets.token_hex(32),
            farcaster_webhook_secret=secrets.token_hex(32),
            neynar_key="NEYNAR_" + secrets.token_hex(16),
            neynar_signer=str(uuid.uuid4()),
        )

    def common_env(self, urls: Mapping[str, str]) -> dict[str, str]:
        """Return the variables that both planes share.

        Args:
            urls: base URL of `github`, `near`, `ping`, `hot`, `eigenai`, `neynar`.
        """
        return {
            **address_env(urls),
            "GITHUB_APP_ID": APP_ID,
            "GITHUB_PRIVATE_KEY": self.app_pem,
            "GITHUB_TOKEN": self.github_token,
            "NEAR_ACCOUNT_ID": genesis.AGENT,
            "NEAR_CONTRACT_ID": genesis.SPLITS,
            "NEAR_NETWORK_ID": NETWORK,
            "NEAR_WORKER_CODE_HASH": genesis.CODE_HASH,
            "PING_PAY_API_KEY": self.ping_key,
            "PING_PAY_ACCOUNT": genesis.TREASURY,
            "PING_PAY_WEBHOOK_SECRET": self.ping_webhook_secret,
            "HOT_PAY_JWT": self.hot_jwt,
            "EIGENAI_WALLET_PRIVATE_KEY": "0x" + self.wallet.key.hex().removeprefix("0x"),
            "EIGENAI_WALLET_ADDRESS": self.wallet.address,
            "EIGENAI_OPERATORS": self.operator.address.lower(),
            "GITHUB_WEBHOOK_SECRET": self.github_webhook_secret,
            "FARCASTER_WEBHOOK_SECRET": self.farcaster_webhook_secret,
            "FARCASTER_BOT_FID": str(BOT_FID),
            "NEYNAR_API_KEY": self.neynar_key,
            "NEYNAR_SIGNER_UUID": self.neynar_signer,
        }


def address_env(urls: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that say where the services are."""
    return {
        "GITHUB_API_BASE": urls["github"],
        "NEAR_NODE_URL": urls["near"],
        "PING_PAY_API_BASE": urls["ping"] + "/api",
        "HOT_PAY_API_BASE": urls["hot"],
        "EIGENAI_API_BASE": urls["eigenai"],
        "NEYNAR_API_BASE": urls["neynar"],
    }
