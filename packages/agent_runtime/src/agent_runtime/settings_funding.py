"""The settings about collecting money for the account that pays; others are in `settings`."""

from dataclasses import dataclass

from agent_runtime import parsing
from agent_runtime.variables import env

WORD_CHARS_MAX = 32


def prefix(given: str) -> str:
    """The word before a token, or nothing: `none` says so, since an empty variable is absent."""
    if not (given.isascii() and given.isalnum() and len(given) <= WORD_CHARS_MAX):
        raise ValueError("not a word; expected letters and digits such as Bearer, or none")
    return "" if given.lower() == "none" else given


@dataclass(frozen=True)
class FundingSettings:
    """What HOT Pay is asked with, and where it tells of payers."""

    hot_base: str = env("HOT_PAY_API_BASE", "HOT API", "https://api.hot-labs.org", parsing.url)
    hot_jwt: str = env("HOT_PAY_JWT", "HOT token", "", parsing.credential, secret=True)
    hot_auth_prefix: str = env(
        "HOT_PAY_AUTH_PREFIX",
        "word before that token in `Authorization`; `none` for the bare token",
        "Bearer",
        prefix,
    )
    hot_account: str = env(
        "HOT_PAY_NEAR_ACCOUNT",
        "merchant at HOT, which must be NEAR_ACCOUNT_ID: what is collected is to be paid out",
        "",
        parsing.near_account,
    )
    hot_page: str = env(
        "HOT_PAY_PAGE_URL", "page on which a payer pays", "https://pay.hot-labs.org/payment",
        parsing.url,
    )  # fmt: skip
    hot_webhook: str = env(
        "HOT_PAY_WEBHOOK_URL",
        "where HOT tells of payers, the gateway's `/webhook/hotpay`; it is asked without, too",
        "",
        parsing.maybe_url,
    )


def funding_faults(settings: FundingSettings, near_account: str) -> list[str]:
    """What of these settings contradicts the account that pays."""
    if settings.hot_account in {"", near_account}:
        return []
    fault = "not NEAR_ACCOUNT_ID, so what is collected could not be paid out"
    return [f"HOT_PAY_NEAR_ACCOUNT: {fault}; make them equal or leave it out"]
