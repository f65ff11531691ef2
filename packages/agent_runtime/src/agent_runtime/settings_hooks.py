"""The settings about deliveries of GitHub and Farcaster; the other half is in `settings`."""

from dataclasses import dataclass

from agent_runtime import parsing, parsing_surface
from agent_runtime.variables import env


@dataclass(frozen=True)
class HookSettings:
    """What webhooks and the bot are told."""

    github_hook_secrets: tuple[str, ...] = env(
        "GITHUB_WEBHOOK_SECRET",
        "secret of /webhook/github; two, comma separated, while it is replaced",
        "",
        parsing_surface.secrets,
        secret=True,
    )
    farcaster_secrets: tuple[str, ...] = env(
        "FARCASTER_WEBHOOK_SECRET",
        "secret of /webhook/farcaster, or two; without all of the bot's variables there is no bot",
        "",
        parsing_surface.secrets,
        secret=True,
    )
    neynar_base: str = env("NEYNAR_API_BASE", "Neynar API", "https://api.neynar.com", parsing.url)
    neynar_key: str = env("NEYNAR_API_KEY", "Neynar key", "", parsing.credential, secret=True)
    neynar_signer: str = env(
        "NEYNAR_SIGNER_UUID", "signer that the bot speaks through", "", parsing.credential,
        secret=True,
    )  # fmt: skip
    bot_fid: str = env("FARCASTER_BOT_FID", "number of the bot's account", "", parsing_surface.fid)

    @property
    def casts_answered(self) -> bool:
        """Whether all that the bot needs is there."""
        needed = (self.farcaster_secrets, self.neynar_key, self.neynar_signer, self.bot_fid)
        return all(needed)
