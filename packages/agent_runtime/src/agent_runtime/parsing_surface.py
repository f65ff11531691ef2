"""Readers of the settings about the service's surface; the rules are those of `parsing`."""

import re

from agent_runtime import parsing

_ORIGIN = re.compile(r"https?://[a-z0-9.-]{1,253}(?::[0-9]{1,5})?")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_HEADER = re.compile(r"[A-Za-z0-9-]{1,64}=[\x21-\x7e]{1,512}")
WAYS_IN = ("http", "webhook", "poller", "cron")
SECRETS_MAX = 2
RECIPIENTS_MAX = 30
SECRET_CHARS_MIN = 16
INTERVAL_MINUTES_MIN = 5
INTERVAL_MINUTES_MAX = 24 * 60


def origins(given: str) -> tuple[str, ...]:
    """Origins of web pages, comma separated; there is no word for all of them."""
    found = tuple(part.strip().lower() for part in given.split(",") if part.strip())
    if not all(_ORIGIN.fullmatch(origin) for origin in found):
        raise ValueError("not origins; expected http(s)://host[:port], comma separated, no path")
    return found


def digest(given: str) -> str:
    """The digest of an image, or nothing."""
    if given and not _DIGEST.fullmatch(given):
        raise ValueError("not a digest; expected sha256: and 64 lower-case hex digits")
    return given


def ingress(given: str) -> str:
    """Who alone feeds the plane: nothing, one name, or a name for each way in."""
    if "=" not in given:
        return given and parsing.name(given)
    owners = [part.strip().partition("=") for part in given.split(",")]
    if sorted(way for way, _, _ in owners) != sorted(WAYS_IN):
        raise ValueError(f"not an owner for each way in; expected {', '.join(WAYS_IN)}, once each")
    return ",".join(f"{way}={parsing.name(owner)}" for way, _, owner in owners)


def long_secret(given: str) -> str:
    """A secret that cannot be guessed by trying, or nothing."""
    if given and len(given) < SECRET_CHARS_MIN:
        raise ValueError(f"too short; expected at least {SECRET_CHARS_MIN} characters")
    return given


def header_pairs(given: str) -> dict[str, str]:
    """Headers as `name=value`, comma separated."""
    found = [part.strip() for part in given.split(",") if part.strip()]
    if not all(_HEADER.fullmatch(pair) for pair in found):
        raise ValueError("not headers; expected name=value, comma separated")
    return dict(pair.split("=", 1) for pair in found)


def days(given: str) -> int:
    """Whole days, from one to a year."""
    if not re.fullmatch(r"[0-9]{1,3}", given) or not 1 <= int(given) <= 365:
        raise ValueError("not a number of days; expected 1 to 365")
    return int(given)


def answer_seconds(given: str) -> int:
    """Whole seconds from 1 to 24: the web gives up after 25 (contract §9)."""
    if not re.fullmatch(r"[0-9]{1,2}", given) or not 1 <= int(given) <= 24:
        raise ValueError("not a time to answer in; expected whole seconds from 1 to 24")
    return int(given)


def recipients(given: str) -> int:
    """How many people one transaction pays, as far as its gas goes (rails §2.4)."""
    if not re.fullmatch(r"[0-9]{1,2}", given) or not 1 <= int(given) <= RECIPIENTS_MAX:
        raise ValueError(f"not a number of people; expected 1 to {RECIPIENTS_MAX}")
    return int(given)


def interval_minutes(given: str) -> int:
    """Whole minutes; less than five are five (contract §7)."""
    if not re.fullmatch(r"[0-9]{1,4}", given) or not 1 <= int(given) <= INTERVAL_MINUTES_MAX:
        raise ValueError(f"not minutes; expected a whole number from 1 to {INTERVAL_MINUTES_MAX}")
    return max(INTERVAL_MINUTES_MIN, int(given))


def secrets(given: str) -> tuple[str, ...]:
    """Secrets in force: none, one, or two while one is replaced by the other."""
    found = tuple(part.strip() for part in given.split(",") if part.strip())
    if len(found) > SECRETS_MAX:
        raise ValueError(f"{len(found)} secrets; expected one, or two while it is replaced")
    return found


def fid(given: str) -> str:
    """Number of a Farcaster account, or nothing."""
    if given and not re.fullmatch(r"[1-9][0-9]{0,14}", given):
        raise ValueError("not the number of an account; expected 1 to 15 digits")
    return given
