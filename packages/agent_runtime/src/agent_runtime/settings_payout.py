"""The settings about how money leaves, and about Ping; the other part is in `settings`."""

from dataclasses import dataclass

from agent_runtime import parsing, parsing_surface
from agent_runtime.variables import env

NEAR = "near"
PINGPAY = "pingpay"


@dataclass(frozen=True)
class PayoutSettings:
    """Which rail pays out, and what Ping is told."""

    payout_rail: str = env(
        "AGENT_PAYOUT_RAIL",
        "what new payments leave by: `near`, signed here, or `pingpay`; each keeps its own",
        NEAR,
        parsing.payout_rail,
    )
    ping_base: str = env("PING_PAY_API_BASE", "Ping API", "https://pay.pingpay.io/api", parsing.url)
    ping_key: str = env("PING_PAY_API_KEY", "Ping key", "", parsing.credential, secret=True)
    ping_auth: str = env(
        "PING_PAY_AUTH_MODE",
        "`bearer` or `publishable`; by the key's `pk_` prefix",
        "",
        parsing.ping_auth,
    )
    ping_intents_path: str = env(
        "PING_PAY_INTENTS_PATH", "path of Ping's payout orders", "/v1/intents"
    )
    ping_account: str = env(
        "PING_PAY_ACCOUNT",
        "NEAR account that signs Ping's payouts and holds what they pay; needed for `pingpay`",
        "",
        parsing.near_account,
    )
    ping_key_hours: int = env(
        "PING_PAY_KEY_HOURS",
        "how long Ping knows an order again by its key, 0 to 24; an hour before, repeating ends",
        "24",
        parsing.key_hours,
    )
    ping_probe_path: str = env("PING_PAY_PROBE_PATH", "path the canary asks", "/v1/intents/probe")
    ping_probe_method: str = env(
        "PING_PAY_PROBE_METHOD", "`GET` or `POST`", "GET", parsing.probe_method
    )
    ping_probe_body: str = env("PING_PAY_PROBE_BODY", "JSON body of a POST probe")
    ping_secrets: tuple[str, ...] = env(
        "PING_PAY_WEBHOOK_SECRET",
        "secret of /webhook/pingpay; two, comma separated, while it is replaced",
        "",
        parsing_surface.secrets,
        secret=True,
    )


def payout_faults(settings: PayoutSettings, near_account: str) -> list[str]:
    """Why the chosen rail cannot pay, in words; empty if it can, as far as settings tell."""
    if settings.payout_rail != PINGPAY:
        return []
    faults = []
    if not settings.ping_key:
        faults.append("PING_PAY_API_KEY: unset, but AGENT_PAYOUT_RAIL is pingpay; give Ping's key")
    if not settings.ping_account:
        faults.append(
            "PING_PAY_ACCOUNT: unset, but AGENT_PAYOUT_RAIL is pingpay; name the account that"
            " signs Ping's payouts, for only by it can they be found on NEAR"
        )
    elif settings.ping_account == near_account:
        faults.append(
            "PING_PAY_ACCOUNT: it is NEAR_ACCOUNT_ID; name Ping's own, or a payment of ours could"
            " pass for one of Ping's"
        )
    return faults
