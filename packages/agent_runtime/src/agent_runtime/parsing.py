"""Readers of single settings: text in, value out, ValueError with seen/expected/next otherwise.

A message never repeats the text it refuses: the text may be a secret.
"""

import base64
import binascii
import ipaddress
import re
from dataclasses import dataclass

import base58

_ACCOUNT = re.compile(r"(?=.{2,64}\Z)[a-z0-9]+(?:[-_.][a-z0-9]+)*")
_REPO = re.compile(
    r"(?:https://)?(?:github\.com/)?([A-Za-z0-9._-]+)/([A-Za-z0-9._-]+?)(?:\.git)?/?"
)
_HOST = re.compile(r"(?=.{1,253}\Z)(?:\*\.)?[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63})*")
_PURPOSE = re.compile(r"(?!none\Z)[a-z0-9-]{1,32}")
_HEADER = re.compile(r" *[\x21-\x7e][\x20-\x7e]*")
PURPOSES_MAX = 8
KEY_HOURS_MAX = 24
_DECIMALS = {"NEAR": 24, "USDC": 6, "USDT": 6}
_USDC = {
    "mainnet": "17208628f84f5d6ad33f0da3bbbeb27ffcb398eac501a31bd6ad2011e36133a1",
    "testnet": "3e2210e1184b45b64c8a434c0a7e7b23cc04ea7eb7a6c3c32520d03d4afcb8af",
}
_WRAP = {"mainnet": "wrap.near", "testnet": "wrap.testnet"}


@dataclass(frozen=True)
class Token:
    """A NEP-141 token.

    Attributes:
        symbol: as users write it; `NEAR` stands for wrapped NEAR.
        contract: its account.
        decimals: digits after the point in one whole token.
    """

    symbol: str
    contract: str
    decimals: int


def text(given: str) -> str:
    """Any text."""
    return given


def name(given: str) -> str:
    """A name that may stand in a header."""
    if not re.fullmatch(r"[A-Za-z0-9._:@/+-]{1,128}", given):
        raise ValueError("not a name; expected 1 to 128 letters, digits and . _ : @ / + -")
    return given


def credential(given: str) -> str:
    """A credential, where the word `placeholder` means unset."""
    return "" if given.lower() == "placeholder" else given


def port(given: str) -> int:
    """A TCP port, 0 for any."""
    if not given.isascii() or not given.isdecimal() or int(given) > 65_535:
        raise ValueError("not a port; expected a whole number from 0 to 65535")
    return int(given)


def flag(given: str) -> bool:
    """A yes or a no."""
    if given.lower() not in {"true", "false", "1", "0"}:
        raise ValueError("not a flag; expected true or false")
    return given.lower() in {"true", "1"}


def decimal(given: str) -> str:
    """A plain decimal above zero, kept as text until a token gives it a unit."""
    if not re.fullmatch(r"[0-9]{1,24}(\.[0-9]{1,24})?", given) or not given.strip("0."):
        raise ValueError("not an amount; expected a plain decimal above zero")
    return given


@dataclass(frozen=True)
class Limit:
    """What may be paid in a token: whole tokens as decimal text, `each` payment and a `day`."""

    each: str
    day: str


def limits(given: str) -> dict[str, Limit]:
    """`TOKEN=each/day`, comma separated."""
    found = {}
    for part in _parts(given):
        symbol, _, amounts = part.partition("=")
        each, slash, day = amounts.partition("/")
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9.]{0,15}", symbol) or not slash:
            raise ValueError("not a list of limits; expected TOKEN=each/day, ...")
        found[symbol.upper()] = Limit(decimal(each), decimal(day))
    return found


def exec_mode(given: str) -> str:
    """How commands are carried out unless their author chose."""
    if given not in {"advisor", "draft", "execute"}:
        raise ValueError("unknown; expected advisor, draft or execute")
    return given


def keyless_pay(given: str) -> str:
    """What a payment without an idempotency key is answered with."""
    if given not in {"plan", "execute"}:
        raise ValueError("unknown; expected plan or execute")
    return given


def lifetime_ms(given: str) -> int:
    """Milliseconds, from one to a day."""
    if not re.fullmatch(r"[0-9]{1,8}", given) or not 1 <= int(given) <= 86_400_000:
        raise ValueError("not a lifetime; expected whole milliseconds from 1 to 86400000")
    return int(given)


def score(given: str) -> int:
    """A score from 0 to 100."""
    if not re.fullmatch(r"[0-9]{1,3}", given) or int(given) > 100:
        raise ValueError("not a score; expected a whole number from 0 to 100")
    return int(given)


def maybe_url(given: str) -> str:
    """An address as `url` reads it; empty stays empty."""
    return url(given) if given else ""


def url(given: str) -> str:
    """An http(s) base address without a trailing slash, and without a user in it."""
    if not re.fullmatch(r"https?://[^\s/@]+(/\S*)?", given):
        raise ValueError("not an address; expected http://host[:port] or https://host")
    return given.rstrip("/")


def urls(given: str) -> tuple[str, ...]:
    """Addresses, comma separated; one that is named twice is still one provider."""
    return tuple(dict.fromkeys(url(part) for part in _parts(given)))


def rpc_headers(given: str) -> dict[str, tuple[str, str]]:
    """`host=Header: value`, separated by semicolons, by host (with its port if it names one)."""
    found = {}
    for part in (part.strip() for part in given.split(";") if part.strip()):
        host, _, header = part.partition("=")
        name, _, value = header.partition(":")
        if not host or not re.fullmatch(r"[A-Za-z0-9-]+", name) or not _HEADER.fullmatch(value):
            raise ValueError("not a list of headers; expected host=Header: value; ...")
        found[host] = (name, value.strip())
    return found


def upper_names(given: str) -> tuple[str, ...]:
    """Symbols, comma separated."""
    return tuple(part.upper() for part in _parts(given))


def repo(given: str) -> str:
    """`owner/name`, also out of an address; empty stays empty."""
    if not given:
        return ""
    match = _REPO.fullmatch(given)
    if match is None:
        raise ValueError("not a repository; expected owner/name")
    return f"{match[1]}/{match[2]}"


def repos(given: str) -> tuple[str, ...]:
    """Repositories, comma separated."""
    return tuple(repo(part) for part in _parts(given))


def near_account(given: str) -> str:
    """A NEAR account id; empty stays empty."""
    if given and not is_near_account(given):
        raise ValueError("not a NEAR account id; expected lower-case letters, digits and - _ .")
    return given


def is_near_account(given: str) -> bool:
    """Whether a text may be a NEAR account id (2 to 64 characters of its alphabet)."""
    return _ACCOUNT.fullmatch(given) is not None


def near_key(given: str) -> str:
    """An ed25519 secret in NEAR's writing; empty stays empty."""
    if not given:
        return ""
    try:
        kind, _, body = given.partition(":")
        size = len(base58.b58decode(body))
    except ValueError:
        kind, size = "", 0
    if kind != "ed25519" or size not in {32, 64}:
        raise ValueError("not a NEAR key; expected ed25519:<base58 of 32 or 64 bytes>")
    return given


def pem(given: str) -> str:
    r"""A PEM private key with real newlines, with `\n`, or in base64; empty stays empty."""
    if not given:
        return ""
    plain = given.replace("\\n", "\n")
    if not plain.startswith("-----BEGIN"):
        try:
            plain = base64.b64decode(plain, validate=True).decode("ascii")
        except (binascii.Error, UnicodeDecodeError):
            plain = ""
    if not re.match(r"-----BEGIN (RSA )?PRIVATE KEY-----\s", plain):
        raise ValueError("not a private key; expected PEM text, with \\n newlines, or in base64")
    return plain.strip()


def hex_key(given: str) -> str:
    """32 bytes in hex; empty stays empty."""
    if given and not re.fullmatch(r"(0x)?[0-9a-fA-F]{64}", given):
        raise ValueError("not a key; expected 64 hex digits")
    return given.removeprefix("0x").lower()


def evm_address(given: str) -> str:
    """An EVM address in lower case; empty stays empty."""
    if given and not re.fullmatch(r"0x[0-9a-fA-F]{40}", given):
        raise ValueError("not an address; expected 0x and 40 hex digits")
    return given.lower()


def evm_addresses(given: str) -> tuple[str, ...]:
    """EVM addresses, comma separated."""
    return tuple(evm_address(part) for part in _parts(given))


def payout_rail(given: str) -> str:
    """What new payments leave by."""
    if given not in {"near", "pingpay"}:
        raise ValueError("unknown; expected near or pingpay")
    return given


def key_hours(given: str) -> int:
    """How long a rail knows an idempotency key; 0 if it cannot be relied upon."""
    if not re.fullmatch(r"[0-9]{1,2}", given) or int(given) > KEY_HOURS_MAX:
        raise ValueError(f"not hours; expected a whole number from 0 to {KEY_HOURS_MAX}")
    return int(given)


def ping_auth(given: str) -> str:
    """How the Ping key is presented; empty means: by the look of the key."""
    if given not in {"", "bearer", "publishable"}:
        raise ValueError("unknown; expected bearer or publishable")
    return given


def probe_method(given: str) -> str:
    """The method of the Ping probe."""
    if given.upper() not in {"GET", "POST"}:
        raise ValueError("unknown; expected GET or POST")
    return given.upper()


def tls(given: str) -> str:
    """Whether TLS ends in this process."""
    if given not in {"off", "attested"}:
        raise ValueError("unknown; expected off or attested")
    return given


def hosts(given: str) -> tuple[str, ...]:
    """DNS names and IP addresses, comma separated."""
    found = tuple(part.lower() for part in _parts(given))
    if not all(_is_host(part) for part in found):
        raise ValueError("not a list of hosts; expected DNS names and IP addresses")
    return found


def _is_host(given: str) -> bool:
    try:
        return bool(ipaddress.ip_address(given))
    except ValueError:
        return _HOST.fullmatch(given) is not None


def purposes(given: str) -> tuple[str, ...]:
    """Names of keys, comma separated, each once; the word `none` for no key at all."""
    found = tuple(dict.fromkeys(_parts(given)))
    if found == ("none",):
        return ()
    if len(found) > PURPOSES_MAX or not all(_PURPOSE.fullmatch(part) for part in found):
        raise ValueError(
            f"not a list of purposes; expected none, or at most {PURPOSES_MAX} names of"
            " lower-case letters, digits and -"
        )
    return found


def evidence_seconds(given: str) -> int:
    """A whole number of seconds from one minute to one hour."""
    if not re.fullmatch(r"[0-9]{2,4}", given) or not 60 <= int(given) <= 3600:
        raise ValueError("not a lifetime; expected whole seconds from 60 to 3600")
    return int(given)


def tokens(given: str) -> dict[str, Token]:
    """`TOKEN=contract[:decimals]`, comma separated."""
    found = {}
    for part in _parts(given):
        symbol, equals, rest = part.partition("=")
        contract, _, digits = rest.partition(":")
        symbol = symbol.strip().upper()
        digits = digits or str(_DECIMALS.get(symbol, ""))
        if not equals or not is_near_account(contract) or not re.fullmatch(r"[0-9]{1,2}", digits):
            raise ValueError("not a token list; expected TOKEN=contract[:decimals], ...")
        found[symbol] = Token(symbol, contract, int(digits))
    return found


def known_tokens(network: str) -> dict[str, Token]:
    """The tokens of a public network; none for another name."""
    if network not in _USDC:
        return {}
    return {
        "USDC": Token("USDC", _USDC[network], 6),
        "NEAR": Token("NEAR", _WRAP[network], 24),
    }


def _parts(given: str) -> list[str]:
    return [part.strip() for part in given.split(",") if part.strip()]
